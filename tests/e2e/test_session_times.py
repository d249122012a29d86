"""How long a browser's session lives: while it is used, and no longer than its absolute end."""

import time

import pytest

from support.browser import DOMAIN, RULES, SECTIONS, Hand, asked

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("store", ["embedded", "redis"])
def test_a_session_in_use_goes_on_and_an_unused_one_ends(gatepost_with, request, store):
    sections = dict(SECTIONS, sessions={"idle": "3s", "max": "9s", "domains": ["example.test"]})
    if store == "redis":
        sections["tokens"] = {"store": f"redis://127.0.0.1:{request.getfixturevalue('redis').port}"}
    gatepost = gatepost_with(RULES, **sections).start()
    gatepost.sign_up("ann")

    def logged_in():
        browser = Hand()
        assert browser.log_in("ann").status == 303
        return f"{DOMAIN}={browser.cookie('.example.test', DOMAIN)}"

    used, unused, began = logged_in(), logged_in(), time.monotonic()
    while time.monotonic() - began < 7.5:
        assert asked("nginx", used).status == 200, time.monotonic() - began
        time.sleep(0.25)
    assert asked("nginx", unused).status == 401
    time.sleep(max(0, 9.5 - (time.monotonic() - began)))
    assert asked("nginx", used).status == 401, "its absolute end"
