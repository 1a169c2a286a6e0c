"""Rows about time: a wall clock that steps, and time zones."""

from __future__ import annotations

import asyncio
import calendar
import time
from itertools import pairwise

import pytest

from relay.clock import SystemClock
from relay.tools.emulator.faults import Fault
from relay.window.ids import floor_id
from tests.support.oracle import conserve
from tests.support.relay import make_emulator
from tests.support.state import recorded
from tests.support.tools import FakeTime

TEN_DAYS = 10 * 86_400


@pytest.fixture
def clock(tmp_path):
    return FakeTime(tmp_path)


@pytest.fixture
def is_cloud_right():
    """Whether the cloud has the right clock; else it has that of the relay."""
    return False


@pytest.fixture
async def emulator(clock, is_cloud_right):
    """A cloud that does not check signatures, which would fail at a step."""
    emulator = make_emulator(check_signature=False, clock=SystemClock() if is_cloud_right else clock)
    emulator.url = await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.mark.full
async def test_row_38_the_wall_clock_steps(clock, start, load, emulator, figure):
    relay = start(environ=clock.environment)
    generator = load(relay, rate=2000, seconds=60)
    for step in (3600, -3600, -2, 0.5):
        await asyncio.sleep(2)
        clock.step(step)
    await asyncio.sleep(2)
    verdict = await conserve(relay, emulator, await generator.stop(), fresh_within=20)
    windows = relay.windows()
    assert len(windows) == len(set(windows)), "an id was closed twice"
    forward = sum(after - before > 3000 for before, after in pairwise(windows))
    back = sum(before - after > 3000 for before, after in pairwise(windows))
    assert (forward, back) == (1, 1)
    assert len(windows) < 30, "windows were invented for skipped time"
    figure(38, f"+1 h, -1 h, -2 s, +0.5 s: {verdict}; {len(windows)} windows, none twice")


@pytest.mark.parametrize(
    "offset", [pytest.param(-600, id="stays open", marks=pytest.mark.full), pytest.param(-601, id="moves back")]
)
async def test_row_38_ten_minutes_back_are_the_limit(offset, clock, start, emulator, tmp_path):
    """A window of an hour: a step of ten minutes keeps it open; a larger step loses no sample either."""
    clock.step(1800 - time.time() % 3600)  # half past: neither step leaves the hour
    recorded(tmp_path / "state", seconds=3600, wall=clock.wall())
    relay = start(environ=clock.environment, WINDOW_SECONDS="3600")
    relay.send(b"hits:1|c")
    await relay.wait_for(relay_accepted_lines_total=1)
    clock.step(offset)
    relay.send(b"hits:2|c")
    await relay.wait_for(relay_accepted_lines_total=2)
    await asyncio.sleep(0.5)
    wanted = floor_id(clock.wall(), 3600)
    assert await relay.stop() == 0
    assert [(point["timestamp"], point["values"]["sum"]) for point in emulator.points("hits")] == [(wanted, 3)]


@pytest.mark.parametrize("is_cloud_right", [True])  # the Date of its answers would confirm a wrong clock
@pytest.mark.parametrize("starts_ahead", [False, True], ids=["stepped", "at start"])
async def test_row_38_ten_days_ahead_for_some_seconds(starts_ahead, clock, start, emulator, figure):
    """By that clock, waiting points become too old; dropped points would never come back."""
    emulator.add_fault(Fault("503"))
    relay = start(environ=clock.environment)
    for _ in range(3):
        relay.send(b"hits:1|c")
        await asyncio.sleep(1.1)
    await relay.wait_for(relay_windows_closed_total=3)
    if starts_ahead:
        await relay.stop()
        clock.step(TEN_DAYS)
        await asyncio.to_thread(relay.start)
    else:
        clock.step(TEN_DAYS)
    await asyncio.sleep(3)
    clock.step(-TEN_DAYS)
    emulator.clear_faults()
    async with asyncio.timeout(60):
        while emulator.total("hits") < 3:
            await asyncio.sleep(0.1)
    metrics = await asyncio.to_thread(relay.metrics)
    assert metrics['relay_dropped_points_total{reason="too_old"}'] == 0
    wanted = [TEN_DAYS, -TEN_DAYS][starts_ahead:]
    async with asyncio.timeout(20):
        while len(steps := [event["step_seconds"] for event in relay.events("the wall clock stepped")]) < len(wanted):
            await asyncio.sleep(0.1)
    assert steps == pytest.approx(wanted, abs=5)
    figure(38, "ten days ahead for 3 s: nothing became too old, steps logged with their size")


@pytest.mark.full
async def test_row_38_1970_at_start(clock, start, load, emulator, figure):
    """Nothing is sent under an impossible date; earlier samples are sent once the clock is set."""
    clock.step(-time.time())
    relay = start(environ=clock.environment)
    generator = load(relay, rate=1000, seconds=60)
    await asyncio.sleep(3)
    assert relay.windows() == []
    clock.step(-clock.offset)
    await asyncio.sleep(1)
    verdict = await conserve(relay, emulator, await generator.stop())
    assert min(point["timestamp"] for point in emulator.received) > 1_700_000_000
    figure(38, f"1970 at start: {verdict}")


ZONES = ("UTC", "Europe/Berlin", "America/St_Johns")
SECONDS = 4


@pytest.mark.full
@pytest.mark.alone
async def test_row_39_zones_and_daylight_saving_time(clock, start, emulator, figure, tmp_path):
    """Relays of three zones pass the change of clocks in one of them; all use the same timestamps."""
    change = calendar.timegm((2026, 3, 29, 1, 0, 0))
    clock.step(change - 4 * SECONDS - time.time())  # three relays start meanwhile
    zones = {
        zone: start(
            environ={**clock.environment, "TZ": zone},
            log=tmp_path / f"{zone.replace('/', '-')}.log",
            WINDOW_SECONDS=str(SECONDS),
            TAGS=f"host={zone.replace('/', '.')}",
            SPOOL_PATH=str(tmp_path / zone),
        )
        for zone in ZONES
    }
    wanted: list[int] = []
    while not wanted or wanted[-1] < change:
        await asyncio.sleep((SECONDS / 2 - clock.wall()) % SECONDS)  # half of a window away from its edges
        for relay in zones.values():
            relay.send(b"packet.%d:1|c" % len(wanted))
        wanted.append(floor_id(clock.wall(), SECONDS))
        await asyncio.sleep(SECONDS / 4)
    async with asyncio.timeout(30):
        while len(emulator.received) < len(ZONES) * len(wanted):
            await asyncio.sleep(0.05)
    for zone in ZONES:
        host = zone.replace("/", ".")
        stamps = [emulator.points(f"packet.{number}", host=host)[0]["timestamp"] for number in range(len(wanted))]
        assert stamps == wanted, zone
    assert wanted[0] < change <= wanted[-1]
    figure(39, f"{len(ZONES)} zones over a change of clocks: timestamps identical in {len(emulator.received)} points")
