"""The nemesis's own processes: they take JSON lines, so that no lock of this one's threads stands in their way."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from .gate import question

HERE = Path(__file__).resolve().parents[1]


class Child:
    def __init__(self, module, *arguments):
        command = [sys.executable, "-m", f"support.{module}", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()

    def tell(self, **command):
        with self.lock:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().strip()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Load(Child):
    """See nemesis_load."""

    def __init__(self, checks, rate, gates):
        super().__init__("nemesis_load", checks, rate, *gates)

    def __call__(self, credential, headers, stage):
        self.tell(watch=credential, head=question("traefik", uri="/orders/1", headers=headers).decode("latin-1"), stage=stage)

    def ended(self, credentials):
        self.tell(ended=list(credentials))


class Links(Child):
    """See nemesis_link."""

    def __init__(self, redis, ports):
        super().__init__("nemesis_link", redis, *ports)
        assert self.hear() == "ready"
