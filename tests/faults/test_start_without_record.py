"""Row 43: a start without a record of the last window, or with the state of another host."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.error
import urllib.request

import pytest

from relay.window.ids import floor_id
from tests.support.relay import unix
from tests.support.state import checkpointed, leave

SECONDS = 5


async def edge() -> None:
    """Wait for the beginning of a window."""
    await asyncio.sleep(SECONDS + 0.05 - time.time() % SECONDS)


async def emulator_has(emulator, metric: str, total: float, *, within: float) -> None:
    async with asyncio.timeout(within):
        while emulator.total(metric) < total:
            await asyncio.sleep(0.1)


def remove(state) -> None:
    shutil.rmtree(state)


def spoil(state) -> None:
    (state / "spool.db").write_bytes(b"no database" * 1000)


def restore_backup(state) -> None:
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
        pytest.param(restore_backup, id="an old backup", marks=pytest.mark.full),
    ],
)
async def test_row_43_no_minute_twice_without_a_record(forget, start, emulator, figure, tmp_path):
    state = tmp_path / "state"
    relay = start(WINDOW_SECONDS=str(SECONDS), **({} if forget else {"SPOOL_PATH": "none"}))
    await edge()
    if forget is restore_backup:
        shutil.copytree(state, state.with_name("backup"))
    await edge()
    await sent_early(relay, 100)
    assert emulator.total("web.hits") == 100
    if forget:
        forget(state)
    await asyncio.to_thread(relay.start)
    relay.send(b"web.hits:7|c")
    await emulator_has(emulator, "web.hits", 107, within=4 * SECONDS)
    first, second = emulator.points("web.hits")
    assert second["timestamp"] > first["timestamp"]
    figure(43, "a stop and a start in one window: the rest of it joins the next one")


def readiness(relay) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{relay.admin}/-/ready", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_row_43_committed_ids_ahead_of_the_clock_are_told(start, emulator, figure, tmp_path):
    """A clock that was ahead committed them: samples wait for the first free id, and the relay is not ready."""
    now = floor_id(time.time(), 1)
    opens = now + 15
    leave(tmp_path / "state", *range(now - 1, opens))
    relay = start()
    relay.send(b"web.hits:7|c")
    metrics = await relay.wait_for(relay_accepted_lines_total=1)
    assert metrics["relay_window_opens_in_seconds"] == pytest.approx(opens - time.time(), abs=4)
    status, sentence = await asyncio.to_thread(readiness, relay)
    assert (status, "the window opens in" in sentence) == (503, True)
    [told] = await relay.told("the window opens later, those until then are committed")
    assert unix(told["window"]) == opens
    await emulator_has(emulator, "web.hits", 7, within=opens + 20 - time.time())
    assert emulator.points("web.hits")[0]["timestamp"] == opens
    assert (await asyncio.to_thread(readiness, relay))[0] == 200
    figure(43, "15 s of committed ids ahead: told, not ready, sent under the first free id")


async def test_row_43_a_copied_state_directory(start, emulator, figure, tmp_path):
    """A cloned machine runs beside the original under another host name."""
    first = start(WINDOW_SECONDS=str(SECONDS), WINDOW_IDLE_GAUGES="keep", WINDOW_CHECKPOINT="100ms", TAGS="host=A")
    await edge()
    first.send(b"load:10|g")
    await emulator_has(emulator, "load", 10, within=4 * SECONDS)
    await edge()
    first.send(b"hits:3|c")
    await first.wait_for(relay_accepted_lines_total=2)
    await checkpointed(tmp_path / "state", 1)
    shutil.copytree(tmp_path / "state", tmp_path / "copy", ignore=shutil.ignore_patterns("*.new"))
    ports = {"LISTEN_UDP": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0"}
    copy = start(
        WINDOW_SECONDS=str(SECONDS),
        WINDOW_IDLE_GAUGES="keep",
        SPOOL_PATH=str(tmp_path / "copy"),
        TAGS="host=B",
        **ports,
    )
    metrics = await copy.wait_for(**{'relay_dropped_samples_total{reason="other_host"}': 1})
    assert metrics["relay_ledger_imbalance"] == 0
    dropped = {event["event"] for event in copy.events() if event.get("code") == "RLY413"}
    assert len(dropped) == 2
    first.send(b"load:20|g\nhits:4|c")
    await copy.wait_for(relay_windows_closed_total=2)
    await emulator_has(emulator, "hits", 7, within=4 * SECONDS)
    assert await copy.stop() == 0
    keys = [
        (point["metric"], str(point["dimensions"]), point["timestamp"], str(point["values"]))
        for point in emulator.received
    ]
    assert len(set(keys)) == len({key[:3] for key in keys}), "no key has two values"
    assert {point["dimensions"]["host"] for point in emulator.received} == {"A"}
    figure(43, "a copied state directory: its open window and gauges are dropped, counted, told")
