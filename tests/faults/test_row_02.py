"""Row 2: kill -9 of the process that reads the sockets, under load."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from tests.faults.revival import revive
from tests.support.inject import COMMIT, Inject
from tests.support.oracle import conserve

RATE = 8000
INTERVAL = 1.0
"""Seconds of data that a kill may cost: one checkpoint interval."""
WINDOW = 2
"""Seconds of a window: more than an interval, so that a kill without checkpoints would cost more than it may."""


async def kill_at(relay, inject, step: str) -> float:
    """Kill the worker when it passes a step; return the seconds in which no socket was open."""
    victim = relay.worker_pid
    inject.arm("kill", step)
    await inject.struck()
    await relay.gone(victim)
    return await revive(relay)


async def test_row_02_killed_at_each_step_of_a_commit(start, load, emulator, figure, tmp_path):
    inject, closed = Inject(tmp_path), 0.0
    relay = start(environ=inject.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=120)
    for point in COMMIT:
        closed += await kill_at(relay, inject, point.name)
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=int(RATE * (len(COMMIT) * INTERVAL + closed)), window=WINDOW)
    figure(2, f"{len(COMMIT)} steps: {verdict}; {verdict.lost / len(COMMIT):.0f} lost per kill")


@pytest.mark.full
@pytest.mark.parametrize("step", [point.name for point in COMMIT])
async def test_row_02_killed_at_one_step(step, start, load, emulator, figure, tmp_path):
    inject = Inject(tmp_path)
    relay = start(environ=inject.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=30)
    await asyncio.sleep(1.2)
    closed = await kill_at(relay, inject, step)
    await asyncio.sleep(1.2)
    verdict = await conserve(
        relay, emulator, await generator.stop(), lost=int(RATE * (INTERVAL + closed)), window=WINDOW
    )
    figure(2, f"{step}: {verdict.lost} lost, {verdict.duplicated} duplicated, {verdict.invented} invented")


@pytest.mark.full
async def test_row_02_killed_twenty_times(start, load, emulator, figure):
    seed = random.randrange(1 << 32)
    dice, closed = random.Random(seed), 0.0
    relay = start(WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=120)
    for _ in range(20):
        await asyncio.sleep(dice.uniform(0.5, 2.5))
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        closed += await revive(relay)
    await asyncio.sleep(1)
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=int(RATE * (20 * INTERVAL + closed)), window=WINDOW)
    figure(2, f"20 kills at random (seed {seed}): {verdict}; {verdict.lost / 20:.0f} lost per kill")
