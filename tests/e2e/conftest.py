"""The services that tests ask for. Ports are those of the shipped files: tests run one after another, or (`pytest -n`) in processes that
each have a network and a folder below the target directory of their own."""

import os

import pytest

from support import binaries, network, services, sms_gateway
from support.application import Application
from support.gatepost import Gatepost
from support.image import Image
from support.proxies import PROXIES, Running
from support.report import pytest_runtest_makereport  # pytest finds it here


def pytest_configure(config):
    worker = getattr(config, "workerinput", None)
    if worker:
        network.leave_the_shared_one()
        # what the shipped scripts start lies below the target directory, at one place of each
        os.environ["GATEPOST_BIN"] = os.path.abspath(binaries.GATEPOST)
        os.environ["CARGO_TARGET_DIR"] = str(binaries.TARGET / "tests" / worker["workerid"])


@pytest.fixture(scope="session")
def application():
    started = Application()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def running_proxies(tmp_path_factory, application):
    running = Running(tmp_path_factory)
    yield running
    running.stop()


@pytest.fixture(scope="module", params=PROXIES, ids=repr)
def proxy(request, running_proxies):
    """Each real proxy in turn, with the files this repository ships."""
    return running_proxies.use(request.param)


@pytest.fixture
def free_ports(application, running_proxies):
    """Nothing of this harness listens, for a program that starts all by itself."""
    running_proxies.stop()
    application.stop()
    yield
    application.start()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    started = services.Redis(binaries.debian("redis-server"), 6390, tmp_path_factory.mktemp("redis")).start()
    yield started
    started.stop()


@pytest.fixture
def gateway(tmp_path):
    """An SMS gateway of either kind."""
    started = sms_gateway.Gateway(tmp_path, sms_gateway.PORT).start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The container image; built once, because that takes its time."""
    image = Image(tmp_path_factory.mktemp("image"))
    yield image
    image.remove()


@pytest.fixture
def gatepost_with(tmp_path):
    """Makes Gateposts that end with the test; the caller starts them."""
    made = []

    def make(rules, folder=tmp_path, **named):
        folder.mkdir(exist_ok=True)
        made.append(Gatepost(folder, rules, **named))
        return made[-1]

    yield make
    for gatepost in made:
        gatepost.stop()
