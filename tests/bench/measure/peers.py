"""Published figures of other forward-auth servers, as ratios to the bare 204 of their own run. They are not measured here.

All were measured in one run: the 18-header request, one core, 32 connections, CPU per check. No maintained public benchmark of
these servers exists.
"""

from .row import Row

BARE_204_US = 7.9
PEERS = [
    # what, its CPU per check in µs, how many times ours it must at least be
    ("rusty-valkey-forward-auth, Redis at each check", 22, 2.5),
    ("tinyauth", 86, 10),
    ("oauth2-proxy, bearer JWT", 139, 16),
    ("Oathkeeper, JWT", 237, 27),
    ("nginx, return 204", 7.0, None),
    ("oauth2-proxy, htpasswd", 54, None),
    ("Oathkeeper, noop", 103, None),
]


def rows(ours):
    """`ours` = CPU of a check beside the bare 204 measured in this run."""
    found = []
    for name, micros, times in PEERS:
        published = micros / BARE_204_US
        found.append(Row("peers", "opaque token", ours, "of a bare 204", f"published: {name}", published, ours / published,
                         at_most=times and round(1 / times, 4), note=f"{micros} us of CPU beside {BARE_204_US} us of its run's bare 204"))
    return found
