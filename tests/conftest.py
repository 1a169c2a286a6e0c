"""Fixtures of every test: virtual time, a cloud, and one contract with two implementations."""

from __future__ import annotations

import os

import pytest

from tests.support import hotpath
from tests.support.clock import VirtualClock

BOTH = ("hotpath", "integration", "listener")
"""Folders whose tests run on both hot paths."""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def emulator():
    """A healthy cloud with its `url`; stop and start it, or add faults."""
    from tests.support.relay import make_emulator  # most tests need none

    emulator = make_emulator()
    emulator.url = await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.fixture(scope="module", params=["native", "python"])
def implementation(request):
    """Which hot path the helpers of tests/support build.

    Native is expected. A machine that cannot compile it says so with RELAY_WITHOUT_NATIVE=1, which skips loudly.
    """
    if request.param == "native" and os.environ.get("RELAY_WITHOUT_NATIVE"):
        pytest.skip("RELAY_WITHOUT_NATIVE is set: the native hot path is not tested")
    before, hotpath.chosen = hotpath.chosen, request.param
    yield request.param
    hotpath.chosen = before


def pytest_collection_modifyitems(items):
    """Let no test of those folders run on one implementation only."""
    for item in items:
        on_both = "implementation" in item.fixturenames or item.module.__name__.endswith("test_differential")
        assert on_both or item.path.parent.name not in BOTH, item
