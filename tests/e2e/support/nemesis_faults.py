"""What the nemesis does to gateposts, to Redis and to the ways between them: one fault after the other in each of two lanes.

The schedule is drawn from a seed; each kind comes up once before any comes up twice.
"""

import shutil
import signal
import socket
import threading
import time

from .nemesis_history import Fault, Loss, now

DUMP = "dump.rdb"


class Lane:
    """Faults of one sort, in the order a seed gives, with a pause after each."""

    def __init__(self, history, dice, pauses):
        self.history, self.dice, self.pauses = history, dice, pauses
        self.deck = []
        self.turn = threading.RLock()  # for who does something of another lane

    def run(self, stop):
        while not stop.is_set():
            if not self.deck:
                self.deck = [*self.KINDS]
                self.dice.shuffle(self.deck)
            kind = self.deck.pop()
            began = now()
            with self.turn:
                what = getattr(self, kind)()
            self.history.faults.append(Fault(kind, what or "", began, now()))
            stop.wait(self.dice.uniform(*self.pauses))

    def some_seconds(self, most):
        """Often short."""
        return round(self.dice.choice((0.3, most)) * self.dice.random() + 0.02, 3)


class Stopped:
    """A process that does not run for a while."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)


class OnReplicas(Lane):
    """Faults of one gatepost, or of its way to Redis."""

    KINDS = ("stop", "stop", "stop_cut_off", "flicker", "stall", "stall", "stall_one", "stall_log", "stall_log", "flush_unheard", "delay", "cut",
             "close", "kill", "leave", "database_cut")

    def __init__(self, history, dice, pauses, replicas, links, database, on_redis):
        super().__init__(history, dice, pauses)
        self.replicas, self.links, self.database, self.on_redis = replicas, links, database, on_redis

    def one(self):
        """One of them, which people mostly leave alone until the next is chosen."""
        n = self.dice.randrange(len(self.replicas))
        for replica in self.replicas:
            replica.is_away = replica is self.replicas[n]
        return n, self.replicas[n]

    def stop(self):
        (n, replica), seconds = self.one(), self.some_seconds(3)
        with Stopped(replica.process):
            time.sleep(seconds)
        return f"replica {n}, {seconds} s"

    def stop_cut_off(self):
        """It hears of nothing before it is stopped, nor at first when it goes on: its lease alone tells it to say no."""
        (n, replica), seconds = self.one(), self.dice.uniform(0.6, 1.6)
        self.links.tell(at=n, do="stall", seconds=seconds + 0.5)
        time.sleep(0.02)
        with Stopped(replica.process):
            time.sleep(seconds)
        time.sleep(0.5)
        return f"replica {n}, {seconds:.3f} s"

    def flicker(self):
        n, replica = self.one()
        for _ in range(12):
            with Stopped(replica.process):
                time.sleep(self.dice.uniform(0.005, 0.12))
            time.sleep(self.dice.uniform(0.002, 0.06))
        return f"replica {n}"

    def link(self, do, seconds=0.0, **more):
        n, _ = self.one()
        self.links.tell(at=n, do=do, **({"seconds": seconds} if seconds else {}), **more)
        time.sleep(seconds)
        return f"replica {n}, {seconds} s {more or ''}"

    def stall(self, one=None):
        return self.link("stall", self.some_seconds(2.5), way=self.dice.choice(("up", "down", "both")), one=one)

    def stall_one(self):
        return self.stall(round(self.dice.random(), 3))

    def stall_log(self):
        """Heartbeats go on, entries of the log do not come."""
        return self.link("stall", round(self.dice.uniform(0.5, 2), 3), way=self.dice.choice(("down", "both")), one="log")

    def flush_unheard(self):
        """Redis is emptied before a replica has heard of what ended last."""
        n, _ = self.one()
        self.links.tell(at=n, do="stall", seconds=1.5, way="down", one="log")
        time.sleep(self.dice.uniform(0.3, 0.8))
        self.on_redis.flush()
        time.sleep(0.8)
        return f"replica {n}"

    def delay(self):
        return self.link("delay", 1.0, ms=self.dice.choice((5, 20, 40, 80, 200)))

    def cut(self):
        return self.link("cut")

    def close(self):
        return self.link("close", self.some_seconds(1.5))

    def kill(self):
        n, replica = self.one()
        replica.kill()
        self.start(replica)
        return f"replica {n}"

    def leave(self):
        n, replica = self.one()
        replica.stop()
        self.start(replica)
        return f"replica {n}"

    def start(self, replica):
        """Again where something else kept it from starting."""
        for last in (False, False, True):
            try:
                return replica.start()
            except BaseException:
                if last:
                    raise

    def database_cut(self):
        return self.database.value("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'nemesis'", "postgres")


class OnRedis(Lane):
    """Faults of Redis itself."""

    KINDS = ("stop", "stop", "stop", "kill_clients", "kill_clients", "kill_client", "kill_client", "trim", "flush", "restart", "restart_older",
             "restart_oldest", "restart_empty", "snapshot", "snapshot")

    def __init__(self, history, dice, pauses, redis, load):
        super().__init__(history, dice, pauses)
        self.redis, self.load, self.snapshots = redis, load, []
        self.snapshot()

    def ask(self, *words):
        """One command; the answer's first line."""
        with socket.create_connection(("127.0.0.1", self.redis.port), timeout=5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            with connection.makefile("rb") as reader:
                line = reader.readline().decode().strip()
                return reader.read(int(line[1:])).decode() if line.startswith("$") else line

    def stop(self):
        seconds = self.some_seconds(1.5)
        with Stopped(self.redis.process):
            time.sleep(seconds)
        return f"{seconds} s"

    def kill_clients(self):
        return self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def kill_client(self):
        clients = [line.split()[0].removeprefix("id=") for line in self.ask("CLIENT", "LIST").splitlines() if "cmd=client" not in line]
        return self.ask("CLIENT", "KILL", "ID", self.dice.choice(clients)) if clients else "there was none"

    def trim(self):
        """The log loses what was not read yet."""
        return self.ask("XTRIM", "{gp}:log", "MAXLEN", str(self.dice.choice((0, 0, 2))))

    def snapshot(self):
        at = now()
        assert self.ask("SAVE") == "+OK"
        kept = self.redis.folder / f"{len(self.snapshots)}.rdb"
        shutil.copy(self.redis.folder / DUMP, kept)
        self.snapshots.append((at, kept))

    def flush(self):
        with self.turn:
            began = now()
            self.ask("FLUSHALL")
            self.lost(began, 0)

    def restart(self):
        """With all it had."""
        began = now()
        try:
            self.ask("SHUTDOWN", "SAVE")
        except OSError:
            pass
        self.redis.process.wait()
        self.redis.forget()
        self.up(began, began)

    def restart_older(self):
        return self.back_to(self.snapshots[-1])

    def restart_oldest(self):
        return self.back_to(self.dice.choice(self.snapshots[:3]))

    def restart_empty(self):
        return self.back_to(None)

    def back_to(self, snapshot):
        began = now()
        self.redis.kill()
        time.sleep(self.dice.choice((0, 0, 0.3, 1)))
        (self.redis.folder / DUMP).unlink(missing_ok=True)
        if snapshot:
            shutil.copy(snapshot[1], self.redis.folder / DUMP)
        self.up(began, snapshot[0] if snapshot else 0)
        return f"{(began - snapshot[0]) / 1e9:.1f} s old" if snapshot else None

    def up(self, began, kept):
        self.redis.start()
        self.lost(began, kept)

    def lost(self, began, kept):
        self.history.losses.append(Loss(began, kept, now()))
        self.load.tell(again=True)
