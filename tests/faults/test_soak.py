"""Twenty minutes of random faults, one after the other, under a steady load; nothing is lost beyond their cost.

RELAY_SOAK_SECONDS and RELAY_SOAK_SEED repeat a run: the same seed gives the same faults in the same order with the same
pauses, as far as the machine allows. The seed is in the table and in the message of a failure.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import time
from collections import Counter

import pytest

from relay.tools.emulator import Fault
from tests.faults.fault_list import SOAK
from tests.support.chaos import ChaosProxy
from tests.support.inject import COMMIT, STAGES, Inject
from tests.support.oracle import conserve, judge
from tests.support.relay import assert_books
from tests.support.tools import SickDisk

RATE = 500
INTERVAL = 1.0
"""Seconds of data that a kill may lose."""
WINDOW = 1.0
"""Seconds; a failing disk may end the relay, and lose the window that it could not store."""


class Bench:
    """State: the relay under test, its surroundings, and the data that its ends may have lost."""

    def __init__(self, relay, emulator, proxy, disk, inject, dice) -> None:
        self.relay, self.emulator, self.proxy, self.disk, self.inject = relay, emulator, proxy, disk, inject
        self.dice = dice
        self.dealt: list[str] = []
        self.seconds_lost = 0.0
        self._victim = relay.worker_pid

    async def deal(self) -> None:
        """Inject one fault, then let the relay recover; its books balance whenever it answers."""
        fault = self.dice.choice(FAULTS)
        self.dealt.append(fault.__name__)
        self._victim = self.relay.worker_pid
        harm = asyncio.create_task(fault(self))
        peace = asyncio.create_task(asyncio.sleep(self.dice.uniform(1, 6)))
        while not (harm.done() and peace.done()):
            await self._revive()
            await asyncio.sleep(0.02)
        await harm
        await self._revive()
        assert_books(await asyncio.to_thread(self.relay.metrics))

    async def _revive(self) -> None:
        """Start the relay again at once if it ended, and add what its end may have lost."""
        if self.relay.process.poll() is None and self.relay.worker_pid == self._victim:
            return
        self.seconds_lost += INTERVAL + WINDOW + await self.relay.revived()
        self._victim = self.relay.worker_pid


async def kill(bench: Bench) -> None:
    bench.relay.signal_worker(signal.SIGKILL)


async def end_in_order(bench: Bench) -> None:
    bench.relay.process.send_signal(signal.SIGTERM)


async def reload(bench: Bench) -> None:
    bench.relay.process.send_signal(signal.SIGHUP)


async def replace_the_worker(bench: Bench) -> None:
    bench.relay.process.send_signal(signal.SIGUSR2)


async def pause(bench: Bench) -> None:
    bench.relay.signal_worker(signal.SIGSTOP)
    await asyncio.sleep(bench.dice.uniform(0.5, 3))
    bench.relay.signal_worker(signal.SIGCONT)


async def kill_at_a_step(bench: Bench) -> None:
    bench.inject.arm("kill", bench.dice.choice(COMMIT).name)
    await bench.inject.struck()


async def raise_in_a_stage(bench: Bench) -> None:
    bench.inject.arm("raise", bench.dice.choice([stage for stage in STAGES if stage.name != "admin"]).name)
    await bench.inject.struck()


async def break_connections(bench: Bench) -> None:
    kind = bench.dice.choice(["reset before", "reset in", "answer lost", "answer cut"])
    bench.proxy.spoil(kind, times=bench.dice.randint(1, 4))


async def cut_connections(bench: Bench) -> None:
    bench.proxy.cut()


async def refuse_connections(bench: Bench) -> None:
    bench.proxy.refused = True
    await asyncio.sleep(bench.dice.uniform(1, 8))
    bench.proxy.refused = False


async def slow_down(bench: Bench) -> None:
    bench.proxy.delay, bench.proxy.rate = bench.dice.uniform(0.1, 1), bench.dice.uniform(20_000, 200_000)
    await asyncio.sleep(bench.dice.uniform(2, 6))
    bench.proxy.heal()


async def answer_badly(bench: Bench) -> None:
    kind = bench.dice.choice(["500", "503", "502", "lost", "cut", "reset"])
    bench.emulator.add_fault(Fault(kind, left=bench.dice.randint(1, 6)))


async def throttle(bench: Bench) -> None:
    bench.emulator.add_fault(Fault("429", left=bench.dice.randint(1, 3), headers={"Retry-After": "1"}))


async def fail_the_disk(bench: Bench) -> None:
    with bench.disk.failing(bench.dice.choice([errno.ENOSPC, errno.EROFS, errno.EIO])):
        await asyncio.sleep(bench.dice.uniform(0.5, 3))


async def stall_the_disk(bench: Bench) -> None:
    with bench.disk.stalled():
        await asyncio.sleep(bench.dice.uniform(0.5, 3))


FAULTS = (
    kill,
    end_in_order,
    reload,
    replace_the_worker,
    pause,
    kill_at_a_step,
    raise_in_a_stage,
    break_connections,
    cut_connections,
    refuse_connections,
    slow_down,
    answer_badly,
    throttle,
    fail_the_disk,
    stall_the_disk,
)


@pytest.mark.soak
async def test_soak_of_random_faults(start, load, emulator, figure, tmp_path):
    seconds = float(os.environ.get("RELAY_SOAK_SECONDS", "1200"))
    seed = int(os.environ.get("RELAY_SOAK_SEED") or random.randrange(1 << 32))
    print(f"RELAY_SOAK_SEED={seed}")  # noqa: T201 - shown when the test fails
    inject, disk = Inject(tmp_path), SickDisk(tmp_path, under=tmp_path / "state")
    proxy = ChaosProxy(emulator.url)
    relay = start(endpoint=await proxy.start(), environ={**inject.environment, **disk.environment})
    bench = Bench(relay, emulator, proxy, disk, inject, random.Random(seed))
    generator = load(relay, rate=RATE, seconds=2 * seconds + 60)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await bench.deal()
        partial = judge(list(emulator.received)[-2000:])
        assert not partial.conflicts, f"RELAY_SOAK_SEED={seed}, after {bench.dealt}: {partial.conflicts[:3]}"
    emulator.clear_faults()
    proxy.heal()
    sent = await generator.stop()
    drops = await asyncio.to_thread(relay.kernel_drops)
    allowed = int(RATE * bench.seconds_lost) + drops
    verdict = await conserve(relay, emulator, sent, lost=allowed, fresh_within=120, within=300)
    await proxy.stop()
    dealt = ", ".join(f"{name} x {count}" for name, count in sorted(Counter(bench.dealt).items()))
    figure(
        SOAK, f"soak of {seconds:.0f} s, seed {seed}: {len(bench.dealt)} faults ({dealt}); {verdict}; {allowed} allowed"
    )
