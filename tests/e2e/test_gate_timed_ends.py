"""What is cached, at its own end."""

import time

from support.gate import bearer, check

RULES = [
    {"id": "token", "path": "/token/**", "scopes": {"all": ["read"]}},
    {"id": "key", "path": "/key/**", "scopes": {"all": ["read"]}, "credentials": ["api_key"]},
]
K = "X-Api-Key"


def test_what_is_cached_ends_when_its_time_is_over(gatepost_with, redis):
    """A key's end and the grace of a replaced secret are noted where they are cached; nobody has to be asked."""
    with gatepost_with(RULES, tokens={"store": f"redis://127.0.0.1:{redis.port}"}) as gatepost:
        alice = gatepost.sign_up("alice")

        def fills():
            counts = [line for line in gatepost.metrics().splitlines() if line.startswith("gatepost_store_request_duration_seconds_count") and '"fill"' in line]
            return sum(float(line.split()[-1]) for line in counts)

        rotated, old = alice.key("read")
        asked = time.time()
        ending = alice.call("POST", "/v1/keys", {"name": "ending", "scopes": ["read"], "expires_in": 2}).json["api_key"]
        token = gatepost.token(ending)
        assert alice.call("POST", f"/v1/keys/{rotated}/rotate", {"grace": 2}).status == 200
        answered, before = time.time(), fills()
        presented = {"key": ("/key/a", [(K, ending)]), "its token": ("/token/a", bearer(token)), "old secret": ("/key/a", [(K, old)])}
        seen = {what: [] for what in presented}
        late = lambda checks: [status for began, _, status in checks if began > answered + 2.15]  # noqa: E731
        while min(map(len, map(late, seen.values()))) < 3:
            assert time.time() < answered + 10, seen
            for what, (path, headers) in presented.items():
                began = time.time()
                status = check("nginx", "GET", path, headers=headers).status
                seen[what].append((began, time.time(), status))
            time.sleep(0.05)
        for what, checks in seen.items():
            early = [status for _, done, status in checks if done < asked + 2]
            assert len(early) > 2 and set(early) == {200} and set(late(checks)) == {401}, (what, checks)
        # each was asked about when it was first seen, and once more when its time was over; what a busy Redis does not answer is asked twice
        assert sum(map(len, seen.values())) > 30 and fills() - before <= 9, (fills(), before)
