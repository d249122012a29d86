"""The guides in docs/ and the pages beside the examples: every command is run as it stands there, every configuration loads."""

import json
import re
import subprocess

import pytest

from support import binaries, databases, pages
from support.gate import SECRET
from support.gatepost import NO_GATEPOST

ROOT = binaries.REPOSITORY
# the commands of these are run by a test of their own, on services of its own
ELSEWHERE = {"examples/places/README.md": "test_places.py", "examples/scale-out/README.md": "test_scale_out.py"}
PAGES = [page for page in pages.every() if page not in ELSEWHERE]
RUN = [page for page in PAGES if any(block.is_run() for block in pages.blocks(page))]
NEED_A_DATABASE = {"docs/leaving-embedded.md", "docs/scaling-out.md"}
BLOCKS = [block for page in pages.every() for block in pages.blocks(page)]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = databases.Postgres(tmp_path_factory.mktemp("postgres"), 5491).start()
    yield server
    server.stop()


@pytest.fixture
def given(page, request):
    """What a guide says its reader has: the address of an empty database."""
    if page not in NEED_A_DATABASE:
        return {}
    name, server = re.sub(r"\W", "_", page), request.getfixturevalue("postgres")
    server.value(f"CREATE DATABASE {name}", "postgres")
    return {"DATABASE": server.url(name)}


@pytest.mark.parametrize("page", RUN)
def test_commands(page, given, free_ports, tmp_path):
    for block, said in pages.run(page, tmp_path, **given):
        if block.is_run():
            pages.assert_as_told(block, said)


def test_no_block_is_left_out():
    for block in (block for block in BLOCKS if block.page in PAGES):
        assert block.language in ("sh", "yaml", "text") or "file" in block.marks, f"{block}: nothing runs this block of `{block.language}`"
        assert set(block.marks) <= {"sh": {"then up", "not run", "here alone"}, "text": set()}.get(block.language, {"file"}), block
        curls = re.findall(r"^curl -i ", block.text, re.M)
        assert len(block.promised()) == len(curls) or not block.is_run(), f"{block}: a `curl -i` whose status is not told"
    for page in PAGES:
        first = pages.blocks(page)[:1]
        assert not first or first[0].language != "text", f"{first[0]}: nothing prints this"
        assert indented((ROOT / page).read_text()) == [], f"{page}: code that is indented is run by nothing; put it between fences"


def indented(text):
    """The first lines of blocks that are code by their indentation alone."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.S | re.M)
    return re.findall(r"(?:\A|\n)\n((?: {4}|\t)\S.*)", text)


def test_indented_code_is_found():
    fenced = "- a list\n\n  goes on\n\n```sh\n\n    indented\n```\n"
    assert indented(fenced) == [] and indented(fenced + "\n    gatepost serve\n") == ["    gatepost serve"]


CONFIGURATIONS = [block for block in BLOCKS if block.language == "yaml" and "file" not in block.marks]


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_configurations_load(block, tmp_path):
    is_rules = block.text.lstrip().startswith(("rules:", "#")) and re.search(r"^rules:\s*$", block.text, re.M)
    rules = block.text if is_rules else (ROOT / "config/rules.yaml").read_text()
    issuers = [{"name": name, "issuer": f"https://{name}.example/", "audiences": ["https://api.example.com"]}
               for name in sorted(set(re.findall(r"issuer:([a-z][a-z0-9-]*)", block.text)))]
    for_rules = "issuers: " + json.dumps(issuers) + "\nrules: rules.yaml\nadmin: { public_url: https://auth.example.com }\n" \
                "gates: [{ proxy: nginx, listen: 127.0.0.1:9001, client_ip: { header: X-Forwarded-For } }]\n"
    config = for_rules if is_rules else block.text
    (tmp_path / "rules.yaml").write_text(rules)
    (tmp_path / "gatepost.yaml").write_text(config)
    variables = {name: "5e" * 32 for name in re.findall(r"env: (\w+)", block.text)}
    variables |= {"GATEPOST_SECRET_KEY": "5e" * 32, "GATEPOST_PROXY_SECRET": SECRET, "GATEPOST_DATA": str(tmp_path)}
    for name in variables.keys() & {"TOKENS_STORE"}:
        variables[name] = "redis://127.0.0.1:6379/0"
    for name in variables.keys() & {"DATABASE"}:
        variables[name] = "postgres://gatepost@127.0.0.1/gatepost"
    done = subprocess.run([binaries.gatepost(), "check-config", "--config", tmp_path / "gatepost.yaml"], capture_output=True, text=True,
                          env={**NO_GATEPOST, **variables}, timeout=30)
    assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"


REPLACED = {
    "docs/from-oauth2-proxy.md": ("issuers:", "issuer:", "from_networks:", "identity_headers:"),
    "docs/from-authelia.md": ("from_networks:", "client_ip:", "identity_headers:"),
    "docs/from-nginx-sso.md": ("from: { key:", "identity_headers:"),
}


@pytest.mark.parametrize("page", REPLACED)
def test_pages_about_moving_show_what_takes_the_place(page):
    loaded = "".join(block.text for block in CONFIGURATIONS if block.page == page)
    assert [word for word in REPLACED[page] if word not in loaded] == []


BROKEN = {
    "a command fails": "```sh\nfalse\ntrue\n```\n",
    "another status": "```sh\ncurl -i http://localhost:8000/ # 200\n```\n",
    "other words": "```sh\necho one two\n```\n```text\none … three\n```\n",
    "nothing listens": "<!-- then up: 8000 -->\n```sh\nsleep 30 &\n```\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_page_that_is_not_true_is_found(broken, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(BROKEN[broken])
    with pytest.raises(AssertionError):
        for block, said in pages.run(page, tmp_path, UP_WITHIN="5"):
            pages.assert_as_told(block, said)


def test_a_page_that_is_true_passes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- file: said -->\n```text\nthree\n```\n```sh\necho one two; cat said\n```\n```text\none …\nthree\n```\n")
    [(_, nothing), (block, said)] = pages.run(page, tmp_path)
    assert nothing == "" and pages.shown_after(block)
    pages.assert_as_told(block, said)
