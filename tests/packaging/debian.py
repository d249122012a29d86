"""A Debian of one's own: a root directory that `tests/packaging/roots` has made, entered with what a test mounts there."""

import os
import subprocess
from pathlib import Path

from support import binaries

ROOTS = binaries.TARGET / "debian"
REGISTRY = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry"
WITHIN = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
MOUNTED = r"""
set -eu
root=$1; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
exec chroot "$root" "$@"
"""


def root(name):
    found = ROOTS / name
    if not Path(f"{found}.made").is_file():
        binaries.missing(found, f"tests/packaging/roots {ROOTS}")
    return found


def run(name, words, mounts=(), seconds=60, **environment):
    """Runs these words in that system; `mounts`: pairs of a directory here and where it lies there. Returns what was printed."""
    pairs = [str(word) for mount in mounts for word in mount]
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", MOUNTED, "bash", str(root(name)), *pairs, "--", *map(str, words)]
    done = subprocess.run(command, env={**WITHIN, **environment}, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    return done.stdout


def of_cargo():
    """What of this process's environment speaks to cargo about profiles: a test of these tests may build a quicker one."""
    return {name: value for name, value in os.environ.items() if name.startswith("CARGO_PROFILE_")}
