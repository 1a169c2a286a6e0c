"""The relay's own figures in the cloud: each window has them once, they add up, and nothing of a user changes them."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import aiohttp
import msgspec
import pytest

from relay.config.schema import CloudConfig, NamesConfig, RuleConfig, TelemetryConfig
from relay.daemon.windows.self_metrics import COUNTERS, GAUGES
from relay.tools.emulator.faults import Fault
from tests.support.inprocess import open_relay
from tests.support.relay import RelayProcess, environment, make_emulator

OWN = [f"statsd_relay.{name}" for name in (*COUNTERS, *GAUGES)]
ON = {"telemetry": TelemetryConfig()}


def values(emulator, name: str) -> dict[int, float]:
    """The values of one figure by window."""
    points = sorted(emulator.points(f"statsd_relay.{name}"), key=lambda point: point["timestamp"])
    return {point["timestamp"]: point["values"]["sum"] for point in points}


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_there_are_sixteen_and_they_are_on_unless_they_are_switched_off():
    assert len(OWN) == 16
    assert TelemetryConfig().to_cloud


async def test_a_quiet_relay_sends_one_request_a_window(tmp_path):
    async with open_relay(tmp_path, **ON) as running:
        await until(lambda: len(values(running.emulator, "up")) >= 2)
        windows = list(running.relay.context.ledger.windows)
    assert {(window.points, window.requests, window.series) for window in windows} == {(len(OWN), 1, 0)}
    received = Counter(point["metric"] for point in running.emulator.received)
    assert received.keys() == set(OWN)
    assert len(set(received.values())) == 1, "each window has all"
    assert not running.emulator.duplicates()
    point = running.emulator.points("statsd_relay.up")[0]
    assert point["dimensions"] == {"host": "test"}
    assert (point["type"], set(point["values"].values())) == (2, {1})
    assert point["namespace"] == running.relay.config.cloud.namespace


async def test_the_counters_add_up_to_the_books_and_the_gauges_are_those_of_the_close(tmp_path):
    async with open_relay(tmp_path, **ON) as running:
        await until(lambda: values(running.emulator, "up"))
        await running.feed(b"\n".join(b"a%d:1|c" % number for number in range(60)), b"b:x|c", b"old:1|c|T1600000000")
        await running.delivered("a0", 1)
        await until(lambda: 60 in values(running.emulator, "series").values())
        [(window, _)] = [each for each in values(running.emulator, "series").items() if each[1] == 60]
        requests = {each.start: each.requests for each in running.relay.context.ledger.windows}
        stopped = await running.stop()
    figures = {name: values(running.emulator, name) for name in (*COUNTERS, *GAUGES)}
    total = {name: sum(figures[name].values()) for name in COUNTERS}
    assert (total["lines"], total["rejected_lines"], total["lost_samples"]) == (62, 1, 1)
    assert total["points"] == stopped.books.created
    assert (total["kernel_drops"], total["lost_points"], total["failed_requests"]) == (0, 0, 0)
    last = len(OWN)
    assert total["delivered_points"] == stopped.books.delivered - last, "the last window's are counted by no point"
    assert requests[window] == 2, "60 points and the own ones: no request more than needed"
    assert figures["series_percent"][window] == 100 * 60 / running.relay.config.limits.series
    assert figures["quota_percent"][window] == round(100 * 2 / (900 / 60), 2)
    assert set(figures["waiting_points"].values()) == {0}


async def test_they_wait_like_other_points_and_say_what_waits(tmp_path):
    async with open_relay(tmp_path, **ON) as running:
        await until(lambda: values(running.emulator, "up"))
        running.emulator.add_fault(Fault("503"))
        windows = running.relay.context.ledger.windows
        closed = len(windows)
        await until(lambda: len(windows) >= closed + 3)
        running.emulator.clear_faults()
        await until(lambda: running.relay.status.oldest_unsettled is None)
        known = [window.start for window in windows if not window.waiting]
    assert values(running.emulator, "up").keys() >= set(known), "an outage loses none"
    waiting, oldest = values(running.emulator, "waiting_points"), values(running.emulator, "oldest_waiting_seconds")
    assert max(waiting.values()) >= 2 * len(OWN)
    assert max(oldest.values()) > 1
    assert sum(values(running.emulator, "failed_requests").values()) > 0
    assert max(values(running.emulator, "level").values()) == 2, "the cloud could not be reached"
    assert not running.emulator.duplicates()


async def test_no_rule_prefix_or_percentile_applies_to_them(tmp_path):
    async with open_relay(
        tmp_path, **ON, names=NamesConfig(prefix="shop"), rule=[RuleConfig(match="**", action="drop")]
    ) as running:
        await running.feed(b"statsd_relay.up:5|c", b"a:1|ms")
        await until(lambda: len(values(running.emulator, "up")) >= 2)
    assert {point["metric"] for point in running.emulator.received} == set(OWN)
    assert set(values(running.emulator, "up").values()) == {1}


async def test_raw_output_has_them_as_plain_values(tmp_path):
    emulator = make_emulator()
    url = await emulator.start()
    cloud = CloudConfig(endpoint=f"{url}/v1/customMetrics", output="raw", namespace="shop")
    try:
        async with open_relay(tmp_path, **ON, cloud=cloud):
            await until(lambda: emulator.points("statsd_relay.up"))
    finally:
        await emulator.stop()
    point = emulator.points("statsd_relay.up")[0]
    assert (point["type"], point["values"], point["namespace"]) == (1, {"value": 1}, "shop")


async def test_subscribers_get_the_points_of_users_alone(tmp_path):
    """`compare` reads them: figures that no other daemon has would be differences."""
    async with open_relay(tmp_path, **ON) as running, aiohttp.ClientSession() as session:
        host, port = running.relay.admin.bound
        async with session.get(f"http://{host}:{port}/api/v1/windows") as answer:
            seen = []
            async for line in answer.content:
                await running.feed(b"a:1|c")
                seen.append(msgspec.json.decode(line))
                if len(seen) == 4:
                    break
    metrics = {point["metric"] for each in seen for point in each.get("points", [])}
    assert metrics == {"a"}


async def end(relay: RelayProcess, how: str) -> None:
    """End the worker, and go on with another one."""
    if how == "stop":
        await relay.restart()
    elif how == "kill -9":
        relay.kill()
        await asyncio.to_thread(relay.start)
    else:
        old = relay.worker_pid
        relay.process.send_signal(signal.SIGUSR2)
        await relay.gone(old)


@pytest.mark.parametrize("how", ["stop", "kill -9", "hand over"])
async def test_each_window_has_one_value_over_restarts_and_retries(tmp_path, how):
    emulator = make_emulator()
    url = await emulator.start()
    emulator.add_fault(Fault("lost", share=0.3))  # stored, and sent again
    environ = environment(url, tmp_path / "state", TELEMETRY_TO_CLOUD="true")
    relay = await asyncio.to_thread(RelayProcess, environ, tmp_path / "log")
    try:
        for _ in range(3):
            seen = len(values(emulator, "up"))
            relay.send(b"a:1|c")
            await until(lambda seen=seen: len(values(emulator, "up")) >= seen + 2)
            await end(relay, how)
    finally:
        relay.kill()
        await emulator.stop()
    different = {msgspec.json.encode(point, order="deterministic") for point in emulator.received}
    found = Counter((point["metric"], point["timestamp"]) for point in map(msgspec.json.decode, different))
    assert set(found.values()) == {1}, "a point that is sent again is the same"
    assert {metric for metric, _ in found} == {*OWN, "a"}
