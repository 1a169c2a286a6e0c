"""Random sequences of disk failures, stops, starts, upgrades and reloads of real processes: rows 42, 44 and 45.

In any order: no (series, window) is sent with two values, nothing is invented, the books balance, a stop ends, and the
configuration in force is the one accepted last. An end may lose the data since the disk refused, or since the last
checkpoint. RELAY_DURABILITY_SEED, which is in the message of a failure, repeats the steps.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.oracle import conserve
from tests.support.relay import assert_books, run
from tests.support.tools import SickDisk

if TYPE_CHECKING:
    from tests.support.load import Sent

RATE = 400
WINDOW = 2
RISK = 1.0 + WINDOW + 1.0
"""Seconds before a kill, or before the disk refused, of which an end may cost everything: a checkpoint interval, the
window that was being stored, and what a busy machine adds."""
ENDS = ["term", "kill_all", "kill_worker"]
OTHERS = ["upgrade", "good_file", "bad_file", "half_a_file"]
STOP = 5.0
ILLNESSES = {"EROFS": errno.EROFS, "EIO": errno.EIO, "full": errno.ENOSPC, "stall": None}


class Machine:
    """State: the relay, its disk, its file, and a load while there is a socket; what was sent, what ends may cost."""

    def __init__(self, *, start, load, disk, file, dice) -> None:
        self.disk, self.file, self.dice = disk, file, dice
        self._load = load
        self._illness = ExitStack()
        self.ill_since: float | None = None
        self.healed_at = 0.0
        self.stalls = False
        self.sent: list[Sent] = []
        self.cost = 0.0
        """Seconds of data that the ends may have cost."""
        self.steps: list[str] = []
        self.accepted = 1000
        self.write(f"[limits]\nseries = {self.accepted}\n")
        self.relay = start(environ=disk.environment, command=run("-c", file), WINDOW_SECONDS=str(WINDOW))
        self._send()

    def write(self, text: str) -> None:
        self.file.write_text(text)

    async def step(self) -> None:
        names = (
            [*ENDS, *ENDS, *OTHERS, "heal", "heal", "heal"]
            if self.ill_since
            else [*ENDS, *OTHERS, *ILLNESSES, *ILLNESSES]
        )
        name = self.dice.choice(names)
        self.steps.append(name)
        if name in ILLNESSES:
            self.fall_ill(name)
        else:
            await getattr(self, name)()
        await asyncio.sleep(self.dice.uniform(0, 1.5 * WINDOW if self.ill_since else WINDOW))

    def _send(self) -> None:
        self._generator = self._load(self.relay, rate=RATE, seconds=600, name=f"s{len(self.sent)}")

    async def quiet(self) -> None:
        """Stop the load: there will be no socket."""
        self.sent.append(await self._generator.stop())

    # --- the disk -----------------------------------------------------------------------------------------------------

    def fall_ill(self, name: str) -> None:
        number = ILLNESSES[name]
        self._illness.enter_context(self.disk.stalled() if number is None else self.disk.failing(number))
        self.ill_since, self.stalls = time.monotonic(), number is None

    async def heal(self) -> None:
        if self.ill_since:
            self._illness.close()
            self.ill_since, self.stalls, self.healed_at = None, False, time.monotonic()

    # --- the relay ----------------------------------------------------------------------------------------------------

    async def term(self) -> None:
        began = time.monotonic()
        await self.quiet()
        assert await self.relay.stop() == 0, self.relay.text()[-3000:]
        assert time.monotonic() - began < STOP * 4
        await self._start(cost=self.ill_since is not None or began - self.healed_at < RISK)

    async def kill_all(self) -> None:
        await self.quiet()
        self.relay.kill()
        await self._start(cost=True)

    async def kill_worker(self) -> None:
        victim = self.relay.signal_worker(signal.SIGKILL)
        self._note_cost()
        await self.relay.gone(victim)
        await self.wait_for_worker()

    async def upgrade(self) -> None:
        """An upgrade; refused while the disk refuses. Before the refusal is detected, it costs what a kill costs."""
        if self.ill_since or time.monotonic() - self.healed_at < RISK:
            self._note_cost()
        worker, refusals = self.relay.worker_pid, self.relay.text().count("RLY502")
        self.relay.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and self.relay.text().count("RLY502") == refusals:
            if self.relay.worker_pid != worker:
                break
            await asyncio.sleep(0.05)
        await self.wait_for_worker()

    async def good_file(self) -> None:
        wanted = self.dice.randrange(1000, 2000)
        if await self._reload(f"[limits]\nseries = {wanted}\n"):
            self.accepted = wanted

    async def bad_file(self) -> None:
        assert not await self._reload("[limits]\nseries = -1\n")

    async def half_a_file(self) -> None:
        assert not await self._reload("[limits]\nserie")

    async def _reload(self, text: str) -> bool:
        """Write a file and reload; return whether it was accepted."""
        self.write(text)
        await self.wait_for_worker()
        before = self._told()
        self.relay.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while (now := self._told()) == before:
            assert time.monotonic() < deadline, self.relay.text()[-3000:]
            await asyncio.sleep(0.02)
        return now[0] > before[0]

    def _told(self) -> tuple[int, int]:
        text = self.relay.text()
        return text.count('"event": "reloaded"'), text.count('"event": "reload refused')

    def _note_cost(self) -> None:
        now = time.monotonic()
        self.cost += (
            now - min(now, self.ill_since or now, self.healed_at if now - self.healed_at < RISK else now) + RISK
        )

    async def _start(self, *, cost: bool) -> None:
        """Start again with a valid file."""
        if cost:
            self._note_cost()
        self.write(f"[limits]\nseries = {self.accepted}\n")
        if self.stalls:
            await self.heal()
        await asyncio.to_thread(self.relay.start)
        self._send()

    async def wait_for_worker(self) -> None:
        """Wait for a worker; one that starts on a disk that hangs waits for the disk."""
        if self.stalls and not await asyncio.to_thread(self.relay.scrape):
            await self.heal()
        deadline = time.monotonic() + 20
        while not await asyncio.to_thread(self.relay.scrape):
            assert time.monotonic() < deadline, self.relay.text()[-3000:]
            if self.relay.process.poll() is not None:
                await self.quiet()
                await self._start(cost=True)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "seconds", [pytest.param(20, id="short"), pytest.param(300, id="long", marks=pytest.mark.full)]
)
async def test_row_42_random_sequences(seconds, start, load, emulator, figure, tmp_path):
    seed = int(os.environ.get("RELAY_DURABILITY_SEED") or random.randrange(1 << 32))
    (tmp_path / "state").mkdir(mode=0o700)
    machine = Machine(
        start=start,
        load=load,
        disk=SickDisk(tmp_path, under=tmp_path / "state"),
        file=tmp_path / "relay.toml",
        dice=random.Random(seed),
    )
    print(f"RELAY_DURABILITY_SEED={seed}")  # noqa: T201 - shown when the test fails
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await machine.step()
    await machine.heal()
    await machine.wait_for_worker()
    await machine.quiet()
    lost = int(RATE * machine.cost)
    told = f"RELAY_DURABILITY_SEED={seed}: {machine.steps}"
    try:
        verdict = await conserve(machine.relay, emulator, *machine.sent, lost=lost, window=WINDOW, fresh_within=60)
    except AssertionError as error:
        raise AssertionError(f"{told}\n{error}") from error
    metrics = await asyncio.to_thread(machine.relay.metrics)
    assert_books(metrics)
    assert metrics["relay_series_limit"] == machine.accepted, told
    figure(42, f"{len(machine.steps)} steps, seed {seed}: {verdict}; {lost} allowed")
