"""The load of the nemesis, a process of its own: asks every gate about every credential and writes down when each check began and ended.

    python -m support.nemesis_load CHECKS-FILE CHECKS-PER-SECOND PORT...

Commands are JSON lines on standard input:
    {"watch": id, "head": request, "stage": "hot" | "live"}   asked about at once at every gate, then often (hot) or now and then (live)
    {"ended": [ids]}     asked about at once and at each of AFTERWARDS, then seldom, for good
    {"again": true}      everything that is cold once more
    {"settle": true}     the rest of the load ends; everything is asked about until every gate has said yes or no, then `settled` is printed
End of input ends it. A check begins before its last byte is sent. A gate that says nothing gets further connections, so that checks
begin all the time while it is stopped.
"""

import heapq
import json
import os
import random
import re
import select
import socket
import sys
from collections import deque

from .nemesis_history import ALLOWED, CHECK, NO_ANSWER, REFUSED, now

CONNECTIONS, MOST = 8, 192
SILENT, FURTHER = 40_000_000, 10_000_000  # ns without an answer, then between further connections
GIVEN_UP = 12_000_000_000
RECENT = 30
AFTERWARDS = [ms * 1_000_000 for ms in (20, 100, 305, 340, 505, 520, 550, 600, 700, 900, 1300, 1800)]  # the bounds, and a little more
ASKED_AGAIN = 60_000_000
SHARES = (("hot", 0.55), ("live", 0.8), ("cold", 1.0))
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
CLOSE = re.compile(rb"(?i)\r\nconnection: *close")


class Connection:
    def __init__(self, gate):
        self.gate = gate
        self.socket = socket.create_connection(("127.0.0.1", gate.port), timeout=0.05)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.credential, self.began, self.answer = None, 0, b""

    def ask(self, credential, head):
        self.credential, self.answer, self.began = credential, b"", now()
        self.socket.send(head)

    def read(self):
        """The status once the answer is whole, NO_ANSWER where it will never be, None before."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return NO_ANSWER
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        return int(head[9:12]) if end and len(body) >= int(length[1] if length else 0) else None


class Gate:
    def __init__(self, n, port):
        self.n, self.port = n, port
        self.idle, self.busy = [], set()
        self.urgent, self.again = deque(), deque()
        self.owed, self.answered, self.further = 0.0, now(), 0
        self.to_settle = set()


class Load:
    def __init__(self, path, rate, ports):
        self.checks = open(path, "wb", buffering=1 << 20)
        self.gates = [Gate(n, port) for n, port in enumerate(ports)]
        self.rate = rate / len(ports)
        self.epoll, self.of = select.epoll(), {}
        self.heads, self.stages = {}, {stage: [] for stage, _ in SHARES}
        self.later = []  # (when, order, what to do)
        self.order, self.input, self.settling = 0, b"", False

    def run(self):
        os.set_blocking(0, False)
        self.epoll.register(0, select.EPOLLIN)
        last = now()
        while True:
            for fd, _ in self.epoll.poll(0.002):
                if fd != 0:
                    self.answered(self.of[fd])
                elif not self.commands():
                    self.checks.close()
                    return
            at = now()
            while self.later and self.later[0][0] <= at:
                heapq.heappop(self.later)[2]()
            for gate in self.gates:
                gate.owed = min(gate.owed + self.rate * (at - last) / 1e9, 30)
                self.serve(gate, at)
            last = at

    def after(self, ns, what):
        self.order += 1
        heapq.heappush(self.later, (now() + ns, self.order, what))

    # Commands ---------------------------------------------------------------------------------------------------------

    def commands(self):
        try:
            data = os.read(0, 1 << 16)
        except BlockingIOError:
            return True
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))
        return bool(data)

    def obey(self, command):
        if "watch" in command:
            self.heads[command["watch"]] = command["head"].encode("latin-1")
            self.stages[command["stage"]].append(command["watch"])
            self.at_once([command["watch"]])
        elif "ended" in command:
            self.at_once(command["ended"])
            for one in command["ended"]:
                self.move(one, "cold")
            for ns in AFTERWARDS:
                self.after(ns, lambda: self.at_once(command["ended"]))
        elif "again" in command:
            for gate in self.gates:
                gate.again.extend(random.sample(self.stages["cold"], len(self.stages["cold"])))
        elif "settle" in command:
            self.settling = True
            for gate in self.gates:
                gate.again.clear()
                gate.urgent = deque(self.heads)
                gate.to_settle = set(self.heads)

    def at_once(self, credentials):
        for gate in random.sample(self.gates, len(self.gates)):
            gate.urgent.extend(credentials)

    def move(self, credential, to):
        for stage in self.stages.values():
            if credential in stage:
                stage.remove(credential)
        self.stages[to].append(credential)

    # Checks -----------------------------------------------------------------------------------------------------------

    def serve(self, gate, at):
        while gate.owed >= 1 or gate.urgent:
            connection = self.connection(gate, at)
            credential = connection and self.choose(gate)
            if connection and credential is None:
                gate.idle.append(connection)
            if credential is None:
                break
            gate.owed -= 1
            gate.busy.add(connection)
            try:
                connection.ask(credential, self.heads[credential])
            except OSError:
                self.ended(connection, NO_ANSWER)
        for connection in [one for one in gate.busy if one.began < at - GIVEN_UP]:
            self.ended(connection, NO_ANSWER)

    def choose(self, gate):
        if gate.urgent:
            return gate.urgent.popleft()
        if self.settling:
            return None
        if gate.again and random.random() < 0.5:
            return gate.again.popleft()
        dice = random.random()
        for stage, share in SHARES:
            if dice < share and self.stages[stage]:
                return random.choice(self.stages[stage][-RECENT:] if stage == "live" and random.random() < 0.5 else self.stages[stage])
        return None

    def connection(self, gate, at):
        if gate.idle:
            return gate.idle.pop()
        if len(gate.busy) >= CONNECTIONS:
            silent = at - gate.answered > SILENT and at - gate.further > FURTHER
            if not silent or len(gate.busy) >= MOST:
                return None
        elif at - gate.further < FURTHER / 4:
            return None
        gate.further = at
        try:
            connection = Connection(gate)
        except OSError:
            return None
        self.of[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket, select.EPOLLIN)
        return connection

    def answered(self, connection):
        status = connection.read()
        if status is not None:
            self.ended(connection, status)

    def ended(self, connection, status):
        gate, credential = connection.gate, connection.credential
        if connection in gate.busy:
            gate.busy.remove(connection)
            self.checks.write(CHECK.pack(connection.began, now(), credential, status, gate.n))
            self.settle(gate, credential, status)
        if status != NO_ANSWER:
            gate.answered = now()
        if status == NO_ANSWER or CLOSE.search(connection.answer) or len(gate.idle) >= CONNECTIONS:
            if connection in gate.idle:
                gate.idle.remove(connection)
            del self.of[connection.socket.fileno()]
            connection.socket.close()
        else:
            gate.idle.append(connection)

    def settle(self, gate, credential, status):
        if credential not in gate.to_settle:
            return
        if status not in ALLOWED + REFUSED:
            self.after(ASKED_AGAIN, lambda: gate.urgent.append(credential))
            return
        gate.to_settle.remove(credential)
        if not any(gate.to_settle for gate in self.gates):
            print("settled", flush=True)


if __name__ == "__main__":
    Load(sys.argv[1], float(sys.argv[2]), [int(port) for port in sys.argv[3:]]).run()
