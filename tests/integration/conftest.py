"""Every test of this folder runs on both hot paths."""

from __future__ import annotations

import pytest

from tests.support.relay import make_emulator


@pytest.fixture(autouse=True, scope="module")
def on_both(implementation) -> None: ...


@pytest.fixture
async def emulator():
    """A healthy cloud with its `url`."""
    emulator = make_emulator()
    emulator.url = await emulator.start()
    yield emulator
    await emulator.stop()
