"""Numbers as statsd users know them, through a real relay: figures of timers, and zeros of what is idle."""

from __future__ import annotations

import asyncio
import random
import signal
import socket

import pytest

from tests.support.relay import RelayProcess, assert_books, environment, free_port, make_emulator, relay_process, run

STATSD = {
    "WINDOW_PERCENTILE_STYLE": "statsd",
    "WINDOW_PERCENTILES": "90,-10",
    "WINDOW_HISTOGRAM": '[{"metric": "lat", "bins": [100, "inf"]}]',
    "WINDOW_SECONDS": "3600",
}
"""Windows of an hour: whatever is sent is in one, which closes when the process stops."""


@pytest.fixture
async def emulator():
    emulator = make_emulator()
    emulator.url = await emulator.start()
    yield emulator
    await emulator.stop()


def latest(emulator, metric: str) -> float:
    return emulator.points(metric)[-1]["values"]["last"]


async def test_figures_of_timers_are_exact_and_survive_a_worker(emulator, tmp_path):
    """A thousand values in two lives of a worker, sent at two rates: each counts once, as statsd would have it."""
    values = list(range(1, 1001))
    random.Random(1).shuffle(values)
    lines = [b"lat:%d|ms%b" % (value, b"|@0.5" if value % 2 else b"") for value in values]
    port = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    with relay_process(environment(emulator.url, tmp_path, ADMIN_LISTEN=port, **STATSD), tmp_path / "log") as relay:
        relay.send(b"\n".join(lines[:70]), b"\n".join(lines[70:140]), b"one:7|ms\nhits:2|c")
        await relay.wait_for(**{'relay_samples{state="open"}': 142})
        await asyncio.sleep(1.2)  # a checkpoint
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        for start in range(140, 1000, 86):
            relay.send(b"\n".join(lines[start : start + 86]))
        metrics = await relay.wait_for(**{'relay_samples{state="open"}': 1002})
        assert metrics["relay_ledger_imbalance"] == 0
        assert await relay.stop() == 0
        assert (relay.stopped()["imbalance"], relay.stopped()["losses"]) == (0, "nothing lost")
    expected = {
        "lat.count_90": 900, "lat.mean_90": 450.5, "lat.upper_90": 900, "lat.sum_90": 405_450,
        "lat.count_top10": 100, "lat.mean_top10": 950.5, "lat.lower_top10": 901, "lat.sum_top10": 95_050,
        "lat.std": 288.6749902572095, "lat.median": 500.5, "lat.histogram.bin_100": 99, "lat.histogram.bin_inf": 901,
        "one.upper_90": 7, "one.count_90": 1, "one.std": 0, "hits": 2,
    }  # fmt: skip
    assert {name: latest(emulator, name) for name in expected} == expected
    assert (emulator.total("lat", "count"), emulator.total("lat")) == (1500, 500_500 + 250_000)
    assert emulator.points("lat.p90") == emulator.points("one.histogram.bin_inf") == []
    assert emulator.duplicates() == []


async def test_idle_series_are_zero_and_a_reload_that_renames_forgets_them(emulator, tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text('[window]\nidle = "none"\n')
    env = environment(emulator.url, tmp_path / "state")
    relay = RelayProcess(env, tmp_path / "log", command=run("-c", path))
    try:
        relay.send(b"early:1|c")
        await relay.wait_for(relay_windows_closed_total=2)
        path.write_text('[window]\nidle = "zero"\n')
        await reload(relay)
        relay.send(b"hits:3|c\nlat:5|ms\nusers:u|s\ntemp:4|g")
        await relay.wait_for(relay_accepted_lines_total=5)
        await until(lambda: len(emulator.points("users")) >= 3)
        path.write_text('[window]\nidle = "zero"\n[names]\nprefix = "new"\n')
        await reload(relay)
        closed = relay.metrics()["relay_windows_closed_total"]
        metrics = await relay.wait_for(relay_windows_closed_total=closed + 3)
        assert_books(metrics)
        assert await relay.stop() == 0
    finally:
        relay.kill()
    zero = {"sum": 0, "count": 0, "avg": 0, "min": 0, "max": 0, "last": 0}
    for name, count in {"hits": 1, "users": 1, "lat": 0}.items():
        first, *others = emulator.points(name)
        assert first["values"]["sum"] > 0
        assert len(others) >= 2
        assert all(point["values"] == {**zero, "count": count} for point in others)
        assert first["timestamp"] < others[0]["timestamp"]
    assert len(emulator.points("lat.p95")) == 1
    assert len(emulator.points("early")) == 1
    assert len(emulator.points("temp")) > len(emulator.points("hits")), "gauges repeat their value, under any name"
    assert emulator.duplicates() == []


async def reload(relay) -> None:
    before = len(relay.events("reloaded"))
    relay.process.send_signal(signal.SIGHUP)
    await until(lambda: len(relay.events("reloaded")) > before)
    await asyncio.sleep(1.1)  # the edge


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.05)
