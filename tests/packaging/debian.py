"""A Debian of one's own: a root directory that `tests/packaging/roots` has made."""

from pathlib import Path

from support import binaries

ROOTS = binaries.TARGET / "debian"
WITHIN = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


def root(name):
    found = ROOTS / name
    if not Path(f"{found}.made").is_file():
        binaries.missing(found, f"tests/packaging/roots {ROOTS}")
    return found
