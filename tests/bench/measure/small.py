"""What it takes to have it running: memory when idle, start to first answer, size."""

import subprocess
import time

from . import question
from .row import Row, alone
from .servers import GATEPOST, Gatepost, memory_mib, program


def rows(options, folder):
    took, idle = [], []
    for n in range(options.starts):
        with options.home(folder / f"small-{n}") as home:
            server = Gatepost(home.folder, "one", 10, None, (), "nginx", {}, False, {"workers": 0})
            home.running.append(server)
            asked = question.headers([], question.OPEN)
            began = time.monotonic()
            server.start()
            while not answers(server, asked):
                time.sleep(0.001)
            took.append((time.monotonic() - began) * 1000)
            time.sleep(1)
            idle.append(memory_mib(server.pid))
    stripped = folder / "stripped"
    subprocess.run([program("strip", "apt-get install binutils"), "-o", stripped, GATEPOST], check=True)
    return [
        alone("small", "start to first answer", "ms", took, at_most=150, note="a new data directory, embedded store; tables and keys are made"),
        alone("small", "idle memory", "MiB", idle, at_most=15, note="resident, of what images carry, after sign-up tables were made"),
        Row("small", "static binary, stripped", stripped.stat().st_size / 1e6, "MB", at_most=20, note="an image holds little else"),
    ]


def answers(server, asked):
    try:
        return server.status(asked) == 200
    except (OSError, IndexError):
        return False
