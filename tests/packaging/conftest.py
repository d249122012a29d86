"""A network that holds loopback alone, for all of these tests: the ports of the shipped files are free, and nothing is brought from elsewhere."""

import os

import pytest

from support import network, services


def pytest_configure():
    if os.geteuid():
        pytest.exit("these tests boot and enter other systems: start them as root", returncode=1)
    network.leave_the_shared_one()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the programs said last."""
    report = (yield).get_result()
    if report.failed:
        for service in services.RUNNING:
            report.sections.append((f"the end of {service.log.name}", service.said()))
