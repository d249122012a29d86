"""Programs that run beside the tests: each with a folder, a log and an end."""

import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

RUNNING = []  # for the report of a failed test


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def until(what, seconds, condition, every=0.02):
    """Waits until the condition holds; returns how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            said = "\n".join(service.said(2000) for service in RUNNING)
            pytest.fail(f"not within {seconds} s: {what}\n{said}")
        time.sleep(every)
    return time.monotonic() - began


class Service:
    """A child process whose output goes to a file."""

    end = signal.SIGTERM

    def __init__(self, name, command, folder, environment=None):
        self.name, self.command, self.folder, self.environment = name, command, folder, environment
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self, ready, seconds=15):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        RUNNING.append(self)

        def done():
            if self.process.poll() is not None:
                pytest.fail(f"{self.name} ended with {self.process.returncode}:\n{self.said()}", pytrace=False)
            return ready()

        try:
            until(f"{self.name} is up", seconds, done)
        except BaseException:
            self.kill()
            raise
        return self

    def said(self, last=4000):
        return self.log.read_text(errors="replace")[-last:] if self.log.exists() else ""

    def forget(self):
        if self in RUNNING:
            RUNNING.remove(self)

    def stop(self, seconds=30):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.forget()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.forget()


class Redis(Service):
    """A redis-server of its own; `lasting` keeps its data over a restart."""

    def __init__(self, binary, port, folder, lasting=True):
        keep = ["--appendonly", "yes", "--appendfsync", "always"] if lasting else ["--appendonly", "no"]
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *keep]
        super().__init__("redis", command, folder)
        self.port = port

    def start(self):
        return super().start(self.ready)

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
        except OSError:
            return False

    @contextmanager
    def away(self):
        self.stop()
        try:
            yield
        finally:
            if self.process.poll() is not None:
                self.start()
