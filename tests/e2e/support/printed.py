"""A real proxy with the files that `gatepost print-config` makes for a running Gatepost."""

import os
import shutil
from contextlib import contextmanager

from . import binaries
from .gatepost import NO_GATEPOST
from .services import Service, listening
from .wire import ask


@contextmanager
def running(proxy, gatepost, folder, open_path):
    """`open_path` is one that everybody may ask for."""
    folder.chmod(0o755)
    gatepost.run("print-config", proxy.gate, "--dir", str(folder), check=0)
    if proxy.gate == "nginx":
        shutil.copy(binaries.REPOSITORY / "nginx" / "nginx.conf", folder)
        (folder / "logs").mkdir()
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PATH": os.environ["PATH"]}
    service = Service(repr(proxy), proxy.command(proxy.find_binary(), folder), folder, {**NO_GATEPOST, **home})
    service.start(lambda: listening(proxy.port) and ask(proxy.port, target=open_path).status != 404)
    try:
        yield proxy
    finally:
        service.stop()
