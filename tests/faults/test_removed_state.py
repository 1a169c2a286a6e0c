"""Row 44: the state directory, or the database in it, is removed or renamed under a running relay."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time

import pytest

from relay.tools.emulator import Fault
from tests.support.oracle import conserve, freshness

RATE = 300
SEEN = 2.0
"""Promised limit in seconds; asserted x 4."""


def remove_directory(state) -> None:
    """Remove the directory of a running relay, which may make files in it meanwhile."""
    away = state.with_name("away")
    state.rename(away)
    shutil.rmtree(away)


def remove(state, what: str):
    """Inject the fault; return the function that repairs it, if the relay cannot."""
    away = state.with_name("away")
    if what == "renamed":
        state.rename(away)
        return lambda: away.rename(state)
    if what == "removed":
        remove_directory(state)
        return lambda: state.mkdir(mode=0o700)
    if what == "replaced":
        state.rename(away)
        state.mkdir(mode=0o700)
    else:
        (state / what).unlink()
    return lambda: None


@pytest.mark.parametrize(
    "what",
    [
        "removed",
        "spool.db",
        *(pytest.param(one, marks=pytest.mark.full) for one in ("renamed", "replaced", "spool.db-wal")),
    ],
)
async def test_row_44_state_that_is_removed(what, start, load, emulator, figure, tmp_path):
    """A backlog waits in it; once it is back, all of it is on disk again, and outlives a kill."""
    state = tmp_path / "state"
    relay = start()
    emulator.add_fault(Fault("503", left=100_000))
    generator = load(relay, rate=RATE, seconds=60)
    await asyncio.sleep(4)
    put_back, began = remove(state, what), time.monotonic()
    # A new database is there within milliseconds, so a scrape may miss the metric.
    [told, *_] = await relay.told("durability degraded", within=SEEN * 4)
    seen = time.monotonic() - began
    assert str(state) in told["why"]
    await asyncio.sleep(2)
    put_back()
    restored = await relay.degraded(False)
    await asyncio.sleep(2.5)
    victim = relay.signal_worker(signal.SIGKILL)
    await relay.gone(victim)
    emulator.clear_faults()
    verdict = await conserve(relay, emulator, await generator.stop(), lost=2 * RATE, fresh_within=60)
    figure(44, f"{what}: seen after {seen:.1f} s, durable {restored:.1f} s after it was back; killed: {verdict}")


async def test_row_44_windows_go_on_without_the_directory(start, load, emulator, figure, tmp_path):
    relay = start()
    generator = load(relay, rate=RATE, seconds=60)
    await asyncio.sleep(3)
    remove_directory(tmp_path / "state")
    await relay.degraded(True)
    fresh = await freshness(relay, emulator, within=8)
    verdict = await conserve(relay, emulator, await generator.stop())
    assert verdict.lost == 0
    assert await relay.stop() == 0
    figure(44, f"removed for good: fresh packet after {fresh:.1f} s; {verdict}")
