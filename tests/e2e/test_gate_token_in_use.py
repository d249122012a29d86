"""A token in use, while the store is away: its idle end was moved on by uses that this process knows of, long after it was read."""

import time

from support.gate import bearer, check
from support.gatepost import Gatepost
from support.services import until

RULES = [
    {"id": "patient", "path": "/patient", "scopes": {"all": ["orders:read"]}, "on_store_error": {"allow_cached_for": "10s"}},
    {"id": "orders", "path": "/orders", "scopes": {"all": ["orders:read"]}},
]


def test_it_lasts_longer_than_what_was_read_of_it(redis, tmp_path):
    with Gatepost(tmp_path, RULES, tokens={"store": f"redis://127.0.0.1:{redis.port}", "ttl": "3s"}) as gatepost:
        used, unused = (gatepost.sign_up(name).token("orders:read") for name in ("alice", "bob"))

        def ask(token, path="/patient"):
            return check("traefik", uri=path, headers=bearer(token)).status

        def use(seconds):
            """What came of a use every 50 ms."""
            ends, seen = time.monotonic() + seconds, []
            while time.monotonic() < ends:
                seen.append(ask(used))
                time.sleep(0.05)
            return seen

        until("Redis answers", 5, lambda: ask(used) == ask(unused) == 200)
        assert set(use(2)) == {200}
        with redis.away():
            until("the lease is over", 2, lambda: ask(used, "/orders") == 503)
            # read before the outage: 3 s after it was made, and two at most
            assert set(use(4)) == {200}
            assert ask(unused) == 503, "nobody used it, so it ended, or may have"
