"""Row 42: a disk that refuses or hangs at any moment of a window, then an end of the relay, a repair and a start.

The last checkpoint is on that disk. Later samples of the window may be sent, or be lost and counted; but a window that
was sent must not be sent again with a smaller value.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import time
from contextlib import contextmanager

import pytest

from relay.tools.emulator import Fault
from tests.support.inject import COMMIT, STAGES, Inject
from tests.support.oracle import conserve
from tests.support.relay import unix
from tests.support.tools import SickDisk

RATE = 300
WINDOW = 3
STOP = 5.0
"""Longest time of a stop in seconds on any disk; asserted x 4."""
STALL = "stalled"


def sick(tmp_path) -> SickDisk:
    (tmp_path / "state").mkdir(mode=0o700)
    return SickDisk(tmp_path, under=tmp_path / "state")


@contextmanager
def harmed(disk, how):
    with disk.stalled() if how == STALL else disk.failing(how):
        yield


async def until_part_on_disk(state) -> None:
    """Wait for a checkpoint of a window that is not about to end."""
    deadline = time.monotonic() + 20
    while not any(int(path.stem.split("-")[1]) + WINDOW > time.time() + 1 for path in state.glob("checkpoint-*.srp")):
        assert time.monotonic() < deadline, "no checkpoint"
        await asyncio.sleep(0.02)


async def end(relay, how: str) -> float:
    """End the relay and its processes; return the seconds it took."""
    began = time.monotonic()
    if how == "TERM":
        assert await relay.stop() == 0
    else:
        relay.kill()
    return time.monotonic() - began


FAST = [(errno.EROFS, "closed", "TERM"), (errno.EIO, "closed", "KILL"), (STALL, "open", "TERM")]
ALL = [
    (how, moment, ending)
    for how in (errno.EROFS, errno.EIO, errno.ENOSPC, STALL)
    for moment in ("open", "closed")
    for ending in ("TERM", "KILL")
]


def name_of(value) -> str:
    return errno.errorcode[value] if isinstance(value, int) else value


@pytest.mark.parametrize(
    ("how", "moment", "ending"),
    [*FAST, *(pytest.param(*one, marks=pytest.mark.full) for one in ALL if one not in FAST)],
    ids=name_of,
)
async def test_row_42_a_sick_disk_then_an_end_and_a_start(  # noqa: PLR0917 - fixtures
    how, moment, ending, start, load, emulator, figure, tmp_path
):
    """The start comes within the window of the stop, and that window goes on."""
    disk = sick(tmp_path)
    relay = start(environ=disk.environment, WINDOW_SECONDS=str(WINDOW))
    before = load(relay, rate=RATE, seconds=60, name="before")
    await until_part_on_disk(tmp_path / "state")
    began = time.monotonic()
    with harmed(disk, how):
        await asyncio.sleep(0.5 if moment == "open" else WINDOW + 1)
        sent = [await before.stop()]
        took = await end(relay, ending)
        ill = time.monotonic() - began
    await asyncio.to_thread(relay.start)
    sent.append(await load(relay, rate=RATE, seconds=2, name="after").wait())
    verdict = await conserve(relay, emulator, *sent, lost=int(RATE * (ill + 1 + WINDOW)), window=WINDOW)
    assert took < STOP * 4
    figure(42, f"{name_of(how)}, window {moment}, {ending}: {verdict}; ended after {took:.1f} s")


async def test_row_42_a_window_waits_for_the_disk_and_the_next_one_does_not(start, load, emulator, figure, tmp_path):
    """The part on disk at the failure is sent whole after the repair; windows without a part are all sent."""
    disk = sick(tmp_path)
    relay = start(environ=disk.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=60)
    await until_part_on_disk(tmp_path / "state")
    with disk.failing(errno.EROFS):
        while len(relay.windows()) < 4:
            await asyncio.sleep(0.1)
        closed = relay.windows()
        await asyncio.sleep(1)
        sent_from_memory = {point["timestamp"] for point in emulator.received}
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, window=WINDOW)
    assert verdict.lost == 0
    held = [window for window in closed if window not in sent_from_memory]
    assert len(held) <= 2
    assert closed[-1] not in held
    figure(42, f"read-only over four windows: {len(held)} waited; {verdict}")


STEPS = [point.name for point in (*STAGES, *COMMIT) if point.name != "admin" and not point.target.startswith("sql:")]


@pytest.mark.parametrize(
    "step",
    [
        "spool, writing",
        *(pytest.param(step, marks=pytest.mark.full) for step in STEPS if step != "spool, writing"),
    ],
)
async def test_row_42_an_exception_before_a_window_is_stored(step, start, load, emulator, figure, tmp_path):
    """The disk works, the window is not stored yet, and a stage raises: no point of the window was sent."""
    disk, inject = sick(tmp_path), Inject(tmp_path)
    relay = start(environ={**disk.environment, **inject.environment}, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=60)
    await until_part_on_disk(tmp_path / "state")
    with disk.failing(errno.EIO):
        await asyncio.sleep(WINDOW + 1)
        inject.arm("raise", step)
    await inject.struck()
    await asyncio.sleep(1)
    await asyncio.to_thread(relay.metrics)
    assert relay.process.poll() is None, relay.text()[-3000:]
    verdict = await conserve(relay, emulator, await generator.stop(), lost=int(RATE * (2 * WINDOW + 2)), window=WINDOW)
    figure(42, f"EIO, then an exception at {step}: {verdict}")


@pytest.mark.parametrize("windows", [3, 0], ids=["windows in memory", "not noticed yet"])
async def test_row_42_no_upgrade_while_the_disk_refuses(windows, start, load, emulator, figure, tmp_path):
    """Windows wait in memory only, since the cloud is down too: an upgrade would lose them."""
    disk = sick(tmp_path)
    relay = start(environ=disk.environment, WINDOW_SECONDS=str(WINDOW))
    emulator.add_fault(Fault("503", left=10_000))
    generator = load(relay, rate=RATE, seconds=60)
    await until_part_on_disk(tmp_path / "state")
    worker = relay.worker_pid
    with disk.failing(errno.EROFS):
        while len(relay.windows()) < windows:
            await asyncio.sleep(0.1)
        relay.process.send_signal(signal.SIGUSR2)
        while "RLY502" not in relay.text():
            await asyncio.sleep(0.1)
        assert relay.worker_pid == worker
    emulator.clear_faults()
    verdict = await conserve(relay, emulator, await generator.stop(), window=WINDOW, fresh_within=60)
    assert relay.worker_pid == worker
    assert verdict.lost == 0
    relay.process.send_signal(signal.SIGUSR2)
    await relay.gone(worker, within=30)  # the supervisor knows that the first one was refused, and does not wait for it
    figure(42, f"upgrade with a read-only disk and no cloud: refused, and done once the disk is back; {verdict}")


async def test_row_42_a_checkpoint_that_stays_and_a_database_that_is_lost(start, load, emulator, figure, tmp_path):
    """The window is stored, its checkpoint cannot be removed; a start with the checkpoint only sends it, once."""
    (tmp_path / "state").mkdir(mode=0o700)
    disk = SickDisk(tmp_path, under=tmp_path / "state" / "checkpoint-")
    relay = start(environ=disk.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=60)
    await until_part_on_disk(tmp_path / "state")
    with disk.failing(errno.EIO):
        before = len(relay.windows())
        while len(relay.windows()) < before + 3:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        sent = await generator.stop()
        relay.kill()
    [told, *_] = [one for one in relay.events() if one["event"].startswith("stored windows wait")]
    kept = [int(path.stem.split("-")[1]) for path in (tmp_path / "state").glob("checkpoint-*.srp")]
    assert (kept[0], len(kept)) == (unix(told["window"]), told["windows"])
    for file in (tmp_path / "state").glob("spool.db*"):
        file.unlink()
    await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, sent, lost=sent.count, window=WINDOW)
    figure(42, f"checkpoint of {len(kept)} stored windows stays, database lost: {verdict}; {verdict.resent} resent")


@pytest.mark.parametrize("step", ["request answered", pytest.param("checkpoint is removed", marks=pytest.mark.full)])
async def test_row_42_a_kill_once_a_window_is_stored_and_a_database_that_is_lost(
    step, start, load, emulator, figure, tmp_path
):
    """Remove the database before another worker starts."""
    inject = Inject(tmp_path)
    relay = start(environ=inject.environment, WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=60)
    await until_part_on_disk(tmp_path / "state")
    relay.process.send_signal(signal.SIGSTOP)
    inject.arm("kill", step)
    await inject.struck()
    relay.kill()
    sent = await generator.stop()
    for file in (tmp_path / "state").glob("spool.db*"):
        file.unlink()
    await asyncio.to_thread(relay.start)
    verdict = await conserve(relay, emulator, sent, lost=sent.count, window=WINDOW)
    figure(42, f"killed, {step}, database lost: {verdict}")
