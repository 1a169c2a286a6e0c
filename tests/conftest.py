"""Fixtures of all tests: virtual time, a cloud, both hot paths; and the number of processes."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.faults.table import Table
from tests.support import hotpath
from tests.support.clock import VirtualClock

BOTH = ("hotpath", "integration", "listener", "tee")
"""Folders whose tests run on both hot paths."""
SHARING = ("tests/integration/test_clients.py", "tests/native/test_kernel.py")
"""Files with an expensive fixture that all of their tests share; they run in one process."""


# On a machine that others use, too, an example of 5 ms may take 250: a time says nothing about a property.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")


def pytest_configure(config):
    """Collect the figures of the fault tests in the process that prints."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(), "faults")


def pytest_xdist_auto_num_workers(config):
    """Use four processes a core for all tests, since most of their time is waiting; one process for a part."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    return 4 * (os.cpu_count() or 1) if is_whole else 0


class Scheduling(LoadScopeScheduling):
    """A scheduler that assigns tests one by one, and those that share an expensive fixture together."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return f"{file} {test.partition('[')[2].partition('-')[0].rstrip(']')}" if file in SHARING else nodeid


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def emulator():
    """A healthy cloud with its `url`; a test may stop it, start it on the same port, or add faults."""
    from tests.support.relay import free_port, make_emulator  # most tests need none

    emulator = make_emulator()
    emulator.url = await emulator.start(port=free_port(socket.SOCK_STREAM))
    yield emulator
    await emulator.stop()


@pytest.fixture(scope="module", params=["native", "python"])
def implementation(request):
    """The hot path that the helpers of tests/support build.

    Native is expected. A machine that cannot compile it says so with RELAY_WITHOUT_NATIVE=1, which skips loudly.
    """
    if request.param == "native" and os.environ.get("RELAY_WITHOUT_NATIVE"):
        pytest.skip("RELAY_WITHOUT_NATIVE is set: the native hot path is not tested")
    before, hotpath.chosen = hotpath.chosen, request.param
    yield request.param
    hotpath.chosen = before


def pytest_collection_modifyitems(items):
    """Require that every test of those folders runs on both implementations."""
    for item in items:
        on_both = "implementation" in item.fixturenames or item.module.__name__.endswith("test_differential")
        assert on_both or item.path.parent.name not in BOTH, item
