"""Row 43: a start that knows nothing of the last window, or whose state belongs to others."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest

SECONDS = 5


async def edge() -> None:
    """Wait until a window has just begun."""
    await asyncio.sleep(SECONDS + 0.05 - time.time() % SECONDS)


def remove(state) -> None:
    shutil.rmtree(state)


def spoil(state) -> None:
    (state / "spool.db").write_bytes(b"no database" * 1000)


def take_back(state) -> None:
    """A backup from before the last window."""
    shutil.rmtree(state)
    shutil.copytree(state.with_name("backup"), state)


async def sent_early(relay, value: int) -> None:
    """Send in the open window and stop, so that the window leaves before its end."""
    relay.send(b"web.hits:%d|c" % value)
    await relay.wait_for(relay_accepted_lines_total=1)
    assert await relay.stop() == 0


@pytest.mark.parametrize(
    "forget",
    [
        pytest.param(None, id="without state"),
        pytest.param(remove, id="directory removed"),
        pytest.param(spoil, id="database set aside", marks=pytest.mark.full),
        pytest.param(take_back, id="an old backup", marks=pytest.mark.full),
    ],
)
async def test_row_43_no_minute_twice_without_a_record(forget, start, emulator, figure, tmp_path):
    state = tmp_path / "state"
    relay = start(WINDOW_SECONDS=str(SECONDS), **({} if forget else {"SPOOL_PATH": "none"}))
    await edge()
    if forget is take_back:
        shutil.copytree(state, state.with_name("backup"))
    await edge()
    await sent_early(relay, 100)
    assert emulator.total("web.hits") == 100
    if forget:
        forget(state)
    await asyncio.to_thread(relay.start)
    relay.send(b"web.hits:7|c")
    async with asyncio.timeout(4 * SECONDS):
        while emulator.total("web.hits") < 107:
            await asyncio.sleep(0.1)
    first, second = emulator.points("web.hits")
    assert second["timestamp"] > first["timestamp"]
    figure(43, "a stop and a start in one window: the rest of it joins the next one")
