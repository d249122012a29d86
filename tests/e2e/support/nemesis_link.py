"""The way between each gatepost and Redis, a process of its own: carries bytes, and does not when it is told so.

    python -m support.nemesis_link REDIS-PORT PORT...

Commands are JSON lines on standard input, "at" is the number of a port:
    {"at", "do": "stall", "seconds", "way": "up" | "down" | "both", "one": 0..1 | "log" | null}
                                               what was sent waits; of one connection alone where `one` says which: "log" that
                                               by which the log is read
    {"at", "do": "delay", "seconds", "ms"}     everything takes so much longer, in each direction
    {"at", "do": "cut"}                        every connection is reset
    {"at", "do": "close", "seconds"}           reset, and refused for so long
"""

import json
import queue
import socket
import struct
import sys
import threading
import time

RESET = struct.pack("ii", 1, 0)


class Carried:
    """One connection: what gatepost opened, and ours to Redis."""

    def __init__(self, link, near, far):
        self.link, self.ends = link, (near, far)
        self.stalled_until = {"up": 0.0, "down": 0.0}
        self.reads_log = False
        for way, source, sink in (("up", near, far), ("down", far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            under_way = queue.SimpleQueue()
            threading.Thread(target=self.take, args=(source, under_way), daemon=True).start()
            threading.Thread(target=self.give, args=(way, under_way, sink), daemon=True).start()

    def take(self, source, under_way):
        try:
            while data := source.recv(65536):
                self.reads_log |= b"XREAD" in data
                under_way.put((time.monotonic() + self.link.delay(), data))
        except OSError:
            pass
        under_way.put((0, b""))

    def give(self, way, under_way, sink):
        try:
            while (piece := under_way.get())[1]:
                while (wait := max(piece[0], self.stalled_until[way], self.link.stalled_until[way]) - time.monotonic()) > 0:
                    time.sleep(wait)
                sink.sendall(piece[1])
        except OSError:
            pass
        self.reset()

    def reset(self):
        self.link.carried.discard(self)
        for end in self.ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Link:
    def __init__(self, port, to):
        self.port, self.to, self.carried = port, to, set()
        self.stalled_until = {"up": 0.0, "down": 0.0}
        self.slow_until, self.slow_ms = 0.0, 0
        self.closed_until = 0.0
        threading.Thread(target=self.accept, daemon=True).start()

    def delay(self):
        return self.slow_ms / 1000 if time.monotonic() < self.slow_until else 0

    def accept(self):
        while True:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            listener.settimeout(0.02)
            while time.monotonic() >= self.closed_until:
                try:
                    near, _ = listener.accept()
                except TimeoutError:
                    continue
                near.setblocking(True)
                threading.Thread(target=self.open, args=(near,), daemon=True).start()
            listener.close()
            time.sleep(max(0, self.closed_until - time.monotonic()))

    def open(self, near):
        try:
            self.carried.add(Carried(self, near, socket.create_connection(("127.0.0.1", self.to))))
        except OSError:
            near.close()

    def obey(self, do, seconds=0.0, way="both", one=None, ms=0):
        until = time.monotonic() + seconds
        if do == "stall":
            carried = sorted(self.carried, key=id)
            if one == "log":
                stalled = [each for each in carried if each.reads_log]
            else:
                stalled = [self] if one is None else carried[int(one * len(carried)):][:1]
            for each in stalled:
                each.stalled_until.update({name: until for name in ("up", "down") if way in (name, "both")})
        elif do == "delay":
            self.slow_until, self.slow_ms = until, ms
        else:
            if do == "close":
                self.closed_until = until
            for carried in list(self.carried):
                carried.reset()


def main(to, *ports):
    sys.setswitchinterval(0.0005)
    links = [Link(int(port), int(to)) for port in ports]
    print("ready", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        links[command.pop("at")].obey(**command)


if __name__ == "__main__":
    main(*sys.argv[1:])
