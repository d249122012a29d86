"""Many live tokens without minting each: the record of one that was minted is copied in Redis, and the texts are made here.

The first token is made here again, too, and must come out as Gatepost wrote it: so this notices when the format changes.
"""

import bisect
import hashlib
import hmac
import itertools
import random
import socket

from .servers import SECRET_KEY, Missing

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
THREE = ["".join(digits) for digits in itertools.product(DIGITS, repeat=3)]
TOKENS_A_KEY = 10


def wide(number):
    """16 bytes in 22 digits."""
    parts = []
    for _ in range(7):
        number, part = divmod(number, 62 ** 3)
        parts.append(THREE[part])
    return DIGITS[number] + "".join(reversed(parts))


def mac_key():
    extracted = hmac.digest(b"gatepost", bytes.fromhex(SECRET_KEY), "sha256")
    return hmac.digest(extracted, b"gatepost access token mac v1\x01", "sha256")


class Writer:
    """The texts of tokens."""

    def __init__(self):
        self.mac = hmac.new(mac_key(), b"gpt\0\x01", hashlib.sha256)

    def text(self, token, key):
        mac = self.mac.copy()
        mac.update(token + key)
        return "gpt_" + "".join(wide(int.from_bytes(part, "big")) for part in (token, key, mac.digest()[:16]))


class Redis:
    """As much of a client as is needed here."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), 60)
        self.reader = self.connection.makefile("rb")

    def __call__(self, *words):
        self.connection.sendall(packed(*words))
        return self.reply()

    def reply(self):
        line = self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"-":
            raise Missing(f"redis: {rest.decode()}")
        return int(rest) if kind == b":" else rest

    def many(self, commands):
        """Sends all of them, a batch at a time, and reads every reply."""
        commands = iter(commands)
        while batch := list(itertools.islice(commands, 2000)):
            self.connection.sendall(b"".join(batch))
            for _ in batch:
                self.reply()


def packed(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def seeded(redis_port, minted, count):
    """The texts of `count` live tokens, ten to a key; `minted` is a token that Gatepost made just now."""
    redis = Redis(redis_port)
    names = [name for name in redis("KEYS", "*:t:*") if len(name.rpartition(b":t:")[2]) == 32]
    if len(names) != 1:
        raise Missing(f"one live token was expected, {len(names)} are in Redis")
    head, _, first = names[0].rpartition(b"t:")
    content, first_key = redis("HMGET", names[0], "c", "k")
    ends = redis("PEXPIRETIME", names[0])
    writer = Writer()
    if writer.text(bytes.fromhex(first.decode()), bytes.fromhex(first_key.decode())) != minted:
        raise Missing("the tokens' format has changed: tests/bench/measure/tokens.py must follow it")
    fields = redis("HGETALL", head + b"k:" + first_key)
    key_ends = redis("PEXPIRETIME", head + b"k:" + first_key)
    texts, draw = [], random.Random(1)

    def commands():
        key = b""
        for n in range(count):
            if n % TOKENS_A_KEY == 0:
                key = draw.randbytes(16)
                name = head + b"k:" + key.hex().encode()
                yield packed("HSET", name, *fields)
                yield packed("PEXPIREAT", name, key_ends)
            token = draw.randbytes(16)
            name = head + b"t:" + token.hex().encode()
            yield packed("HSET", name, "c", content.replace(first_key, key.hex().encode()), "k", key.hex())
            yield packed("PEXPIREAT", name, ends)
            texts.append(writer.text(token, key))

    redis.many(commands())
    return texts


def forged(count):
    """Tokens of another installation: as long, and nobody knows them."""
    draw = random.Random(2)
    return ["gpt_" + "".join(wide(int.from_bytes(draw.randbytes(16), "big")) for _ in range(3)) for _ in range(count)]


def zipf(texts, draws):
    """Draws by Zipf's law: the nth token in proportion to 1/n."""
    draw = random.Random(3)
    sums = list(itertools.accumulate(1 / n for n in range(1, len(texts) + 1)))
    return [texts[min(len(texts) - 1, bisect.bisect(sums, draw.random() * sums[-1]))] for _ in range(draws)]


def written(path, texts):
    path.write_text("\n".join(texts) + "\n")
    return path
