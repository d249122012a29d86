"""What the documentation points at is there: files, headings, metrics, and the tests that the security page names."""

import re
from pathlib import Path

import pytest

from support import binaries
from support.corpus import ENTRIES

ROOT = binaries.REPOSITORY
PAGES = sorted(str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/*.md", "examples/**/*.md", "tests/**/*.md") for path in ROOT.glob(pattern))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


def prose(path):
    """The page without its code."""
    text = re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.S | re.M)
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


def links(path):
    return [one or other for one, other in LINK.findall(re.sub(r"`[^`\n]*`", "code", prose(path)))]


def anchors(path):
    """Of each heading what code hosts make of it: lower case, spaces as hyphens, punctuation gone, a number behind repetitions."""
    found, seen = set(), {}
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", prose(path), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def astray(path, root):
    """The links of this page that lead nowhere."""
    for link in links(path):
        if re.match(r"https://|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not (target.is_relative_to(root) and target.exists()) or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            yield link


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert not list(astray(ROOT / page, ROOT))


def test_links_that_lead_nowhere_are_found(tmp_path):
    page, right = tmp_path / "page.md", "[a](other.md#two-words-one) [b](other.md#again-1) [c](https://example.com) `[d](gone.md)`\n```\n[e](gone.md)\n```\n"
    (tmp_path / "other.md").write_text("# Two `words`, one\n## Again\n## Again\n")
    page.write_text(right)
    assert list(astray(page, tmp_path)) == []
    for wrong in ("gone.md", "other.md#gone", "#gone", "http://example.com", "../outside.md"):
        for form in ("[a]({})", "![a]({})", '<img src="{}">'):
            page.write_text(right + form.format(wrong))
            assert list(astray(page, tmp_path)) == [wrong]


def test_every_page_of_docs_is_in_its_contents():
    listed = links(ROOT / "docs/README.md")
    for page in (page for page in PAGES if page.startswith("docs/") and page != "docs/README.md"):
        assert Path(page).name in listed, f"docs/README.md does not list {page}"
        assert len(re.findall(r"^# ", prose(ROOT / page), re.M)) == 1, f"{page}: one title"


def test_tables_are_whole():
    for page in PAGES:
        for table in re.findall(r"(?:^\|.*\n)+", prose(ROOT / page), re.M):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, f"{page}:\n{table}"


def test_metrics_that_are_named_exist():
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    metrics = set(re.findall(r"\"(gatepost_\w+)\"", source))
    named = {(page, name) for page in PAGES for name in re.findall(r"`(gatepost_[a-z]+_[a-z_]+)[`{]", (ROOT / page).read_text())}
    assert len(metrics) > 10
    for page, name in named:
        assert re.sub(r"_(bucket|sum|count)$", "", name) in metrics, f"{page}: no metric is called {name}"


TESTS = re.compile(r"\[([\w-]+)\]\(\.\./((?:tests|src)/[\w/]+\.(?:py|rs|jsonl))\)")


def is_there(name, path):
    """Whether the file has a test, or the corpus an entry, of this name."""
    if path.endswith(".jsonl"):
        return name in {entry["id"] for entry in ENTRIES}
    text = (ROOT / path).read_text()
    return re.search(rf"^def {name}\(" if path.endswith(".py") else rf"\bfn {name}\(", text, re.M) is not None


def test_every_test_that_the_security_page_names_exists():
    page = (ROOT / "docs/security.md").read_text()
    named = TESTS.findall(page)
    assert len(named) > 80
    assert [pair for pair in named if not is_there(*pair)] == []
    for row in re.findall(r"^\| (?:CVE|GHSA)-.*$", page, re.M):
        assert TESTS.search(row.split("|")[3]), f"an advisory without a test: {row}"
    assert not is_there("BYP-999", "tests/corpus/bypass.jsonl") and not is_there("test_gone", "tests/e2e/test_doc_links.py")


def test_every_advisory_of_the_corpus_is_on_the_security_page():
    page = (ROOT / "docs/security.md").read_text()
    known = {advisory for entry in ENTRIES for advisory in re.findall(r"CVE-\d+-\d+|GHSA(?:-\w{4}){3}", entry["source"])}
    # the corpus names some by both of their names
    twins = {"GHSA-68wm-pfjf-wqp6", "GHSA-328g-jx67-v94g", "GHSA-fj56-5763-j8pp", "GHSA-5hvv-m4w4-gf6v", "GHSA-m5mf-3963-4x26"}
    assert known - twins - set(re.findall(r"CVE-\d+-\d+|GHSA(?:-\w{4}){3}", page)) == set()
