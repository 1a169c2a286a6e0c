"""Row 2: kill -9 of the process that reads the sockets, under load.

The sockets stay open, so packets wait in the kernel; a kill loses what was received since the last checkpoint. A window
is longer than the four intervals that are asserted, so the tests fail without checkpoints.
"""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from tests.support.inject import COMMIT, Inject
from tests.support.oracle import conserve
from tests.support.server import udp_row

RATE = 8000
INTERVAL = 1.0
"""Seconds of data that a kill may cost: one checkpoint interval."""
CEILING = 4 * INTERVAL
WINDOW = 5
STEADY = 10.5
"""Seconds after which a worker counts as well; killed earlier, the next one is delayed, and five end the supervisor."""
STEPS = tuple(point.name for point in COMMIT)
MOST_TELLING = ("transaction commits", "transaction committed", "checkpoint is removed")


async def kill_at(relay, inject, step: str) -> None:
    """Kill the worker at a step; return when it is replaced."""
    victim = relay.worker_pid
    inject.arm("kill", step)
    await inject.struck()
    await relay.gone(victim)
    await asyncio.to_thread(relay.metrics)
    assert relay.worker_pid != victim, relay.text()[-3000:]


def drops(relay) -> int:
    """Datagrams that the kernel dropped at the socket, which outlives its readers."""
    return int(udp_row(relay.udp[1])[-1])


async def test_row_02_killed_at_telling_steps(start, load, emulator, figure, tmp_path):
    """The rate is so low that half a second without a worker overruns no buffer."""
    inject, rate = Inject(tmp_path), RATE / 4
    relay = start(environ=inject.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=rate, seconds=120)
    for step in MOST_TELLING:
        await asyncio.sleep(INTERVAL)
        await kill_at(relay, inject, step)
    sent = await generator.stop()
    assert drops(relay) == 0
    verdict = await conserve(relay, emulator, sent, lost=int(len(MOST_TELLING) * CEILING * rate), window=WINDOW)
    per_kill = verdict.lost / len(MOST_TELLING)
    figure(2, f"{', '.join(MOST_TELLING)}: {verdict}; {per_kill / rate:.2f} s of data lost per kill, 0 kernel drops")


@pytest.mark.full
@pytest.mark.parametrize("step", STEPS)
async def test_row_02_killed_at_each_step_of_a_commit(step, start, load, emulator, figure, tmp_path):
    inject = Inject(tmp_path)
    relay = start(environ=inject.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=60)
    await asyncio.sleep(WINDOW + INTERVAL)
    await kill_at(relay, inject, step)
    await asyncio.sleep(INTERVAL)
    sent = await generator.stop()
    assert drops(relay) == 0
    verdict = await conserve(relay, emulator, sent, lost=int(CEILING * RATE), window=WINDOW)
    figure(2, f"{step}: {verdict.lost / RATE:.2f} s lost, {verdict.duplicated} duplicated, {verdict.invented} invented")


@pytest.mark.full
async def test_row_02_killed_twenty_times(start, load, emulator, figure):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    relay = start(WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=600)
    for _ in range(20):
        await asyncio.sleep(STEADY + dice.uniform(0, 2))
        victim = relay.signal_worker(signal.SIGKILL)
        await relay.gone(victim)
        await asyncio.to_thread(relay.metrics)
        assert relay.worker_pid != victim
    await asyncio.sleep(1)
    sent = await generator.stop()
    assert drops(relay) == 0
    verdict = await conserve(relay, emulator, sent, lost=int(20 * CEILING * RATE), window=WINDOW)
    figure(2, f"20 kills at random (seed {seed}): {verdict}; {verdict.lost / 20:.0f} packets lost per kill")
