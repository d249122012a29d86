"""A network that holds loopback alone, for all of these tests: the ports of the shipped files are free, and nothing is brought from elsewhere."""

import os

import pytest

from support import network
from support.report import pytest_runtest_makereport  # pytest finds it here


def pytest_configure():
    if os.geteuid():
        pytest.exit("these tests boot and enter other systems: start them as root", returncode=1)
    network.leave_the_shared_one()
