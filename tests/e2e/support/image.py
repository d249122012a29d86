"""The container image: built by buildah from the Dockerfile, and its root directory as a container would see it.

No registry is asked. The stage that compiles stands on a base made here. Usually that is a static busybox and this machine's certificates,
and the stage takes what `examples/docker/binary` has made on this machine: the very script that it runs where nothing is prebuilt. On a
base that has Rust the stage compiles (tests/packaging).
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

from . import binaries
from .services import Service

USER = 10001
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def run(command, **named):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **{"timeout": 600, **named})
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Container(Service):
    end = signal.SIGINT


class Image:
    """`root` is the image's file system, which tests may write to, as a container's. What the stage that compiles is built with: `base`, the root
    directory that it stands on, where the program is to be compiled in it; its variables; directories of this machine that are mounted there."""

    def __init__(self, folder, base=None, variables=(), volumes=()):
        assert os.geteuid() == 0, "buildah and chroot need root here: start the tests as root"
        self.folder = folder
        tool = binaries.debian("buildah")
        self.buildah = [tool, "--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]
        context = self._context()
        prebuilt = [] if base else ["--build-arg", f"PREBUILT={self._prebuilt(context)}"]
        named = self._committed(base or self._busybox(), {"PATH": "/usr/bin:/bin", **dict(variables)})
        mounted = [word for here, there in volumes for word in ("--volume", f"{here}:{there}")]
        run([*self.buildah, "bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg", f"RUST_IMAGE={named}", *prebuilt, *mounted,
             "-t", "gatepost", "-f", context / "Dockerfile", context], cwd=context, timeout=3600)
        container = run([*self.buildah, "from", "--pull-never", "gatepost"]).strip()
        self.root = Path(run([*self.buildah, "mount", container]).strip())
        self.about = json.loads(run([*self.buildah, "inspect", "--type", "image", "gatepost"]))["Docker"]["config"]
        for above in self.root.parents:
            above.chmod(above.stat().st_mode | 0o011)  # the user of the image must reach it

    def _context(self):
        """The repository as `docker build` is given it."""
        context = self.folder / "context"
        tracked = run(["git", "ls-files", "-co", "--exclude-standard"], cwd=binaries.REPOSITORY).splitlines()
        for name in tracked:
            if (binaries.REPOSITORY / name).is_file():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(binaries.REPOSITORY / name, context / name)
        return context

    def _prebuilt(self, context):
        """What was built on this machine, beside the repository."""
        run([binaries.REPOSITORY / "examples/docker/binary", context / "prebuilt"], timeout=1200,
            env={**os.environ, "CARGO_TARGET_DIR": str(binaries.TARGET)})
        return "prebuilt"

    def _busybox(self):
        base = self.folder / "base"
        (base / "bin").mkdir(parents=True)
        (base / CERTIFICATES[1:]).parent.mkdir(parents=True)
        shutil.copy(CERTIFICATES, base / CERTIFICATES[1:])
        shutil.copy(binaries.debian("busybox"), base / "bin/busybox")
        for name in ("sh", "cp", "mkdir"):
            (base / "bin" / name).symlink_to("busybox")
        return base

    def _committed(self, base, variables):
        """This root directory as an image."""
        container = run([*self.buildah, "from", "--name", "base", "scratch"]).strip()
        run([*self.buildah, "add", container, base, "/"])
        run([*self.buildah, "config", *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")), container])
        run([*self.buildah, "commit", "--rm", container, "localhost/base"])
        return "localhost/base"

    def command(self, *words):
        """These words as the image's user, seeing nothing but its files."""
        return [binaries.debian("chroot"), f"--userspec={self.about['User']}", "--groups=", str(self.root), *words]

    def environment(self, **more):
        return {**dict(variable.split("=", 1) for variable in self.about["Env"]), **more}

    def container(self, folder, **environment):
        return Container("container", self.command(*self.about["Entrypoint"]), folder, self.environment(**environment))

    def run(self, *words, **environment):
        return subprocess.run(self.command(*words), env=self.environment(**environment), capture_output=True, text=True, timeout=30)

    def remove(self):
        run([*self.buildah, "umount", "--all"])
        run([*self.buildah, "rm", "--all"])
        shutil.rmtree(self.folder, ignore_errors=True)


def interpreter(path):
    """The loader that an ELF file asks for; None = a static one."""
    data = Path(path).read_bytes()
    assert data[:5] == b"\x7fELF\x02"
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for n in range(count):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + n * size)
        if kind == 3:
            return data[at:at + length]
    return None


class Names:
    """A name server at `address` that knows one name, and the addresses asked of it."""

    def __init__(self, address, name, answer="127.0.0.1"):
        self.name, self.answer, self.asked = name, answer, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(512)
            except OSError:
                return
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            kind, name = struct.unpack_from(">H", question, at + 1)[0], ".".join(labels)
            self.asked.append(name)
            known = name == self.name
            records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(self.answer) if known and kind == 1 else b""
            head = question[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, bool(records), 0, 0)
            self.socket.sendto(head + question[12:at + 5] + records, peer)

    def stop(self):
        self.socket.close()
