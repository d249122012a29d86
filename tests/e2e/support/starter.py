"""Starts Gatepost as systemd does: on sockets that somebody else has bound and keeps, telling when it is ready."""

import fcntl
import signal
import socket
import subprocess

from .gatepost import NO_GATEPOST
from .services import Service, until

ABOVE = 40  # numbers that no socket is passed under


class Sockets:
    """What a `.socket` unit names, bound once, passed to one process after another."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.bound = [self._bind(address) for address in addresses]

    @staticmethod
    def _bind(address):
        if address.startswith("/"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
        else:
            host, port = address.rsplit(":", 1)
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
        listener.listen(4096)
        # out of the way of 3, 4, …, under which a process is given them
        above = socket.socket(fileno=fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, ABOVE))
        listener.close()
        return above

    def close(self):
        for listener in self.bound:
            listener.close()


class Started(Service):
    """One process on these sockets. Ready means that it said so."""

    end = signal.SIGINT

    def __init__(self, name, command, folder, sockets, environment=None):
        self.sockets = sockets
        self.notices = folder / f"{name}.notify"
        self.inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.inbox.bind(str(self.notices))
        self.inbox.setblocking(False)
        self.told = []
        environment = {**NO_GATEPOST, **(environment or {}), "NOTIFY_SOCKET": str(self.notices), "LISTEN_FDS": str(len(sockets.bound))}
        numbers = [listener.fileno() for listener in sockets.bound]
        # LISTEN_PID is the number of the process that is to be, which the shell turns into
        moved = "".join(f" {3 + n}<&{number} {number}<&-" for n, number in enumerate(numbers))
        super().__init__(name, ["bash", "-c", f'export LISTEN_PID=$$; exec "$@"{moved}', "bash", *command], folder, environment)

    def start(self, seconds=15):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[listener.fileno() for listener in self.sockets.bound])
        until(f"{self.name} says that it is ready", seconds, lambda: self.says("READY=1") or self.process.poll() is not None, every=0.005)
        assert self.process.poll() is None, self.said()
        return self

    def says(self, what):
        """Whether it has told this so far."""
        while True:
            try:
                self.told += self.inbox.recv(4096).decode().splitlines()
            except BlockingIOError:
                return what in self.told

    def stop(self, seconds=30):
        super().stop(seconds)
        self.inbox.close()
