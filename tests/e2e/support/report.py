"""What a report tells besides: a hook of pytest, which a conftest has by importing it."""

import pytest

from . import services


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the programs said last."""
    report = (yield).get_result()
    if report.failed:
        for service in services.RUNNING:
            report.sections.append((f"the end of {service.log.name}", service.said()))
