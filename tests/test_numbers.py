"""Zeros of what is idle and figures of timers, from a socket to the cloud, over a reload."""

from __future__ import annotations

import asyncio

import msgspec

from relay.config.schema import Config, NamesConfig, WindowConfig
from relay.daemon.build import make_encoder, make_idle
from relay.model import Kind
from tests.support.inprocess import open_relay

TRAFFIC = b"hits:3|c\nlat:5|ms\nusers:u|s\ntemp:4|g\nother:1|c"
ZERO = {"sum": 0, "count": 0, "avg": 0, "min": 0, "max": 0, "last": 0}


def window(idle: str) -> WindowConfig:
    return msgspec.structs.replace(WindowConfig(), seconds=1, idle=idle)


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def test_idle_series_are_zero_until_they_are_forgotten_or_may_have_other_names():
    async with open_relay(None, window=window("zero")) as running:
        relay, points = running.relay, running.emulator.points
        await running.feed(TRAFFIC)
        await until(lambda: len(points("users")) >= 3)
        relay.status.delete(relay.idle.known(Kind.SET))
        zeros = msgspec.structs.replace(relay.config, window=window("zero:counters,sets"))
        await running.reconfigure(zeros)
        known = len(points("lat"))
        await until(lambda: relay.config is zeros and len(points("hits")) >= known + 3)
        assert len(points("lat")) <= known + 1, "timers are not asked for any more"
        assert len(points("users")) <= known + 1
        await running.reconfigure(msgspec.structs.replace(zeros, names=NamesConfig(prefix="new")))
        await until(lambda: relay.config is not zeros)
        await running.feed(b"hits:1|c")
        await until(lambda: len(points("new.hits")) >= 2)
        assert relay.idle.size == 1
        assert points("new.hits")[1]["timestamp"] > points("hits")[-1]["timestamp"]
    for name, count in {"hits": 1, "users": 1, "lat": 0, "other": 1}.items():
        first, *others = points(name)
        assert first["values"]["sum"] > 0
        assert others
        assert all(point["values"] == {**ZERO, "count": count} for point in others)
    assert len(points("lat.p95")) == 1
    assert {point["values"]["last"] for point in points("temp")} == {4}
    assert running.emulator.duplicates() == []


def test_nothing_is_noted_unless_asked_for():
    for idle, notes in (("none", False), ("zero:sets", True)):
        config = msgspec.structs.replace(Config(), window=window(idle))
        assert (make_encoder(config, make_idle(config)).idle is not None) is notes


async def test_another_style_begins_with_a_window_and_with_its_bound_of_samples():
    async with open_relay(None, window=window("none")) as running:
        relay, points = running.relay, running.emulator.points
        values = b"lat:" + b":".join(b"%d" % value for value in range(1, 201)) + b"|ms"
        await running.feed(values)
        await until(lambda: points("lat.p95"))
        style = msgspec.structs.replace(window("none"), percentile_style="statsd", percentiles=[90.0])
        await running.reconfigure(msgspec.structs.replace(relay.config, window=style))
        await until(lambda: relay.config.window is style)
        await running.feed(values)
        await until(lambda: points("lat.std"))
        figures = {name: points(f"lat.{name}")[0]["values"]["last"] for name in ("median", "mean_90", "upper_90")}
        assert figures == {"median": 100.5, "mean_90": 90.5, "upper_90": 180}
    assert len(points("lat")) == 2
    assert len(points("lat.p95")) == 1
