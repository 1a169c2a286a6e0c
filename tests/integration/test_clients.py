"""Real clients against a real relay and the emulator with signatures checked: totals exact."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiodogstatsd
import pytest
import statsd
from datadog.dogstatsd import DogStatsd

from tests.support.node import CLIENTS, has_node, install
from tests.support.relay import environment, make_emulator, relay_process

if TYPE_CHECKING:
    from pathlib import Path


@asynccontextmanager
async def cloud_and_relay(tmp_path):
    """Everything that was received is at the emulator when this ends."""
    emulator = make_emulator()
    url = await emulator.start()
    try:
        with relay_process(environment(url, tmp_path / "state", WINDOW_SECONDS="3600"), tmp_path / "log") as relay:
            yield emulator, relay
            assert await relay.stop() == 0
            event = relay.stopped()
            assert (event["imbalance"], event["spooled"], event["losses"]) == (0, 0, "nothing lost")
        assert emulator.duplicates() == []
        assert emulator.statuses.keys() == {200}
    finally:
        await emulator.stop()


async def test_pypi_statsd(tmp_path):
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        client = statsd.StatsClient(*relay.udp, prefix="pystatsd")
        for number in range(1, 201):
            client.incr("hits")
            client.incr("by", 5)
            client.timing("time", number)
            client.set("users", f"u{number % 11}")
        client.decr("down", 4)
        client.gauge("level", 10)
        client.gauge("level", -3, delta=True)
        client.gauge("below", -5)
        with client.pipeline() as pipe:
            for _ in range(300):
                pipe.incr("piped")
        client.close()
        await relay.wait_for(relay_accepted_lines_total=200 * 4 + 1 + 2 + 2 + 300)
    assert emulator.total("pystatsd.hits") == 200
    assert emulator.total("pystatsd.by") == 1000
    assert emulator.total("pystatsd.down") == -4
    assert emulator.total("pystatsd.piped") == 300
    assert emulator.total("pystatsd.time") == 20_100
    assert emulator.total("pystatsd.time", "count") == 200
    assert emulator.total("pystatsd.time", "max") == 200
    assert emulator.total("pystatsd.time.p95", "last") == pytest.approx(190, rel=0.01)
    assert emulator.total("pystatsd.users") == 11
    assert emulator.total("pystatsd.level", "last") == 7
    assert emulator.total("pystatsd.below", "last") == -5


async def test_pypi_statsd_sampled(tmp_path):
    """Sampled counts are multiplied back: sent lines x 10, whatever the dice said."""
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        client = statsd.StatsClient(*relay.udp)
        for _ in range(500):
            client.incr("sampled", rate=0.1)
        client.incr("end")
        client.close()
        metrics = await relay.wait_for(relay_accepted_lines_total=1)
        await asyncio.sleep(0.3)
        metrics = await relay.wait_for(relay_accepted_lines_total=metrics["relay_accepted_lines_total"])
    assert emulator.total("sampled") == (metrics["relay_accepted_lines_total"] - 1) * 10


@pytest.mark.parametrize(
    "mode",
    [
        {"disable_buffering": True, "disable_aggregation": True},
        {"disable_buffering": False, "disable_aggregation": True},
        {"disable_buffering": True, "disable_aggregation": False, "flush_interval": 0.1},
    ],
    ids=["plain", "buffered", "aggregated"],
)
async def test_datadog(tmp_path, mode):
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        host, port = relay.udp
        client = DogStatsd(
            host=host, port=port, namespace="dog", constant_tags=["env:test"], disable_telemetry=True, **mode
        )
        for number in range(1, 201):
            client.increment("hits")
            client.increment("by", 5, tags=[f"page:p{number % 2}"])
            client.histogram("time", number)
            client.distribution("dist", number)
            client.set("users", f"u{number % 11}")
            client.gauge("level", number)
        client.decrement("down", 4)
        client.event("deployed", "version 2")
        client.service_check("alive", DogStatsd.OK)
        client.flush()
        client.stop() if hasattr(client, "stop") else None
        client.close_socket()
        await relay.wait_for(relay_events_total=2)
        await settled(relay)
    assert emulator.total("dog.hits", env="test") == 200
    assert emulator.total("dog.by", page="p0") == emulator.total("dog.by", page="p1") == 500
    assert (emulator.total("dog.time"), emulator.total("dog.time", "count")) == (20_100, 200)
    assert (emulator.total("dog.dist"), emulator.total("dog.dist", "max")) == (20_100, 200)
    assert emulator.total("dog.users") == 11
    assert emulator.total("dog.level", "last") == 200
    assert emulator.total("dog.down") == -4


async def settled(relay) -> None:
    """Wait until no more lines come."""
    before, now = -1.0, 0.0
    while before != now:
        before = now
        await asyncio.sleep(0.3)
        now = (await asyncio.to_thread(relay.metrics))["relay_received_lines_total"]


async def test_aiodogstatsd(tmp_path):
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        host, port = relay.udp
        async with aiodogstatsd.Client(host=host, port=port, namespace="aio", constant_tags={"env": "test"}) as client:
            for number in range(1, 201):
                client.increment("hits")
                client.increment("by", value=5, tags={"page": f"p{number % 2}"})
                client.timing("time", value=number)
                client.distribution("dist", value=number)
                client.histogram("size", value=number)
            client.gauge("level", value=42)
            client.decrement("down", value=4)
        await relay.wait_for(relay_accepted_lines_total=200 * 5 + 2)
    assert emulator.total("aio.hits", env="test") == 200
    assert emulator.total("aio.by", page="p1") == 500
    assert emulator.total("aio.time") == emulator.total("aio.dist") == emulator.total("aio.size") == 20_100
    assert emulator.total("aio.level", "last") == 42
    assert emulator.total("aio.down") == -4


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The npm clients, installed once beside the sources; without node they are skipped, unless CI expects them."""
    if not has_node():
        assert "RELAY_EXPECT_NODE" not in os.environ, "node is expected here and absent"
        pytest.skip("node is not installed")
    return install()


async def run_node(script: str, node_modules: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(CLIENTS / script), *arguments, env={"PATH": os.environ["PATH"], "NODE_PATH": str(node_modules)}
    )
    assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.mark.timeout(360)
@pytest.mark.parametrize("mode", ["plain", "buffered"])
async def test_npm_hot_shots(tmp_path, node_modules, mode):
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        await run_node("hot-shots.js", node_modules, relay.udp[0], str(relay.udp[1]), mode)
        await relay.wait_for(relay_accepted_lines_total=200 * 6 + 3, relay_events_total=2)
    name = f"hotshots.{mode}"
    assert emulator.total(f"{name}.hits", env="test") == 200
    assert emulator.total(f"{name}.by", page="p0") == emulator.total(f"{name}.by", page="p1") == 300
    assert (emulator.total(f"{name}.time"), emulator.total(f"{name}.time", "count")) == (20_100, 200)
    assert emulator.total(f"{name}.size") == 10_050
    assert emulator.total(f"{name}.dist") == 20_100
    assert emulator.total(f"{name}.users") == 9
    assert emulator.total(f"{name}.down") == -5
    assert emulator.total(f"{name}.level", "last") == 4


@pytest.mark.timeout(360)
async def test_npm_node_statsd(tmp_path, node_modules):
    async with cloud_and_relay(tmp_path) as (emulator, relay):
        await run_node("node-statsd.js", node_modules, relay.udp[0], str(relay.udp[1]))
        await relay.wait_for(relay_accepted_lines_total=300 + 5)
    assert emulator.total("nodestatsd.hits") == 100
    assert emulator.total("nodestatsd.by") == 40
    assert emulator.total("nodestatsd.time") == 5050
    assert emulator.total("nodestatsd.users") == 5
    assert emulator.total("nodestatsd.down") == -2
    assert emulator.total("nodestatsd.size") == 12.5
    assert emulator.total("nodestatsd.level", "last") == 3.5
    assert emulator.total("nodestatsd.tagged", env="test", live="true") == 1
