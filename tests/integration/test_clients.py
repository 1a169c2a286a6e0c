"""Real clients against a real relay and the emulator with signatures checked: totals exact, pair by pair.

All clients run first, a few at a time, into one relay with every kind of socket. Then the relay is stopped, and the
points in the cloud are compared with the plan. matrix.py has the plan of each client.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.matrix import NPM, PYPI, Pair, totals
from tests.support.node import CLIENTS, has_node, install
from tests.support.pypi import path_of
from tests.support.relay import environment, free_port, make_emulator, relay_process
from tests.support.state import LONG_WINDOW, recorded

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = 4
REQUESTS = 20
"""Requests to the application behind gunicorn."""


class Outcome(NamedTuple):
    """The outcome of all clients of the matrix."""

    emulator: object
    failures: dict[str, str]
    """Clients that failed, with their output."""
    stopped: dict
    rejected: dict[str, float]
    events: float


def sockets(directory: Path) -> dict[str, str]:
    """Return an address for every kind of socket, in the form of the clients."""
    udp, tcp = free_port(), free_port(socket.SOCK_STREAM)
    paths = {kind: str(directory / kind) for kind in ("dgram", "stream", "datadog")}
    loopback = {"udp4": f"127.0.0.1 {udp}", "udp6": f"::1 {udp}", "tcp": f"127.0.0.1 {tcp}", "tcp6": f"::1 {tcp}"}
    return {**loopback, **paths}


def listen(addresses: dict[str, str]) -> dict[str, str]:
    """Return the relay's settings for these sockets."""
    udp, tcp = (addresses[kind].split()[1] for kind in ("udp4", "tcp"))
    return {
        "LISTEN_UDP": f"127.0.0.1:{udp},[::1]:{udp}",
        "LISTEN_TCP": f"127.0.0.1:{tcp},[::1]:{tcp}",
        "LISTEN_UNIX": ",".join(f"{kind}:{addresses[kind]}" for kind in ("dgram", "stream", "datadog")),
    }


def command(pair: Pair, addresses: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that sends a pair's plan, and its environment."""
    arguments = [pair.client, pair.mode, addresses[pair.socket], pair.name]
    if pair.registry == "npm":
        return ["node", str(CLIENTS / "npm.js"), *arguments], {"NODE_PATH": str(install())}
    return [sys.executable, str(CLIENTS / "pypi.py"), *arguments], {"PYTHONPATH": path_of(pair.client)}


async def send(pair: Pair, addresses: dict[str, str], failures: dict[str, str], slots: asyncio.Semaphore) -> None:
    argv, environ = command(pair, addresses)
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={"PATH": os.environ["PATH"], **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    if process.returncode:
        failures[pair.name] = said.decode()


async def serve_by_gunicorn(addresses: dict[str, str], kind: str) -> None:
    """Let a real gunicorn answer requests and count them."""
    port = free_port(socket.SOCK_STREAM)
    where = addresses[kind].replace(" ", ":") if kind == "udp4" else f"unix://{addresses[kind]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--statsd-host", where),
        *("--statsd-prefix", f"gunicorn_{kind}", "--dogstatsd-tags", "env:test", "wsgi:application"),
        cwd=CLIENTS,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        for _ in range(REQUESTS):
            await request(port)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def request(port: int) -> None:
    """Request a page; the server may still be starting."""
    for _ in range(500):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.write(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        return
    raise AssertionError("gunicorn does not answer")


async def settled(relay) -> None:
    """Wait until no more lines arrive."""
    before, now = -1.0, 0.0
    while before != now:
        before = now
        await asyncio.sleep(0.3)
        now = (await asyncio.to_thread(relay.metrics))["relay_received_lines_total"]


async def play(directory: Path, pairs: list[Pair]) -> Outcome:
    """Run every client, then stop the relay, so that the cloud has everything."""
    addresses, failures, slots = sockets(directory), {}, asyncio.Semaphore(AT_ONCE)
    emulator = make_emulator()
    url = await emulator.start()
    settings = environment(url, recorded(directory / "state"), WINDOW_SECONDS=str(LONG_WINDOW), **listen(addresses))
    try:
        with relay_process(settings, directory / "log") as relay:
            sending = [send(pair, addresses, failures, slots) for pair in pairs]
            gunicorns = [serve_by_gunicorn(addresses, kind) for kind in ("udp4", "dgram")]
            await asyncio.gather(*sending, *gunicorns)
            await settled(relay)
            metrics = await asyncio.to_thread(relay.metrics)
            assert relay.kernel_drops() == 0
            assert await relay.stop() == 0
            stopped = relay.stopped()
    finally:
        await emulator.stop()
    rejected = {key: value for key, value in metrics.items() if key.startswith("relay_rejected_lines") and value}
    return Outcome(emulator, failures, stopped, rejected, metrics["relay_events_total"])


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Every pair; those from npm only with node, unless CI expects it."""
    if has_node():
        return PYPI + NPM
    assert "RELAY_EXPECT_NODE" not in os.environ, "node is expected here and absent"
    return PYPI


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, implementation, pairs) -> Outcome:
    return asyncio.run(play(tmp_path_factory.mktemp(implementation), pairs))


@pytest.mark.timeout(400)
def test_all_arrived_and_nothing_else(outcome, pairs):
    assert outcome.failures == {}
    assert outcome.rejected == {}
    assert outcome.events == 2 * sum("events" in pair.sends for pair in pairs)
    assert {key: outcome.stopped[key] for key in ("imbalance", "waiting", "losses")} == {
        "imbalance": 0,
        "waiting": 0,
        "losses": "nothing lost",
    }
    assert outcome.emulator.duplicates() == []
    assert outcome.emulator.statuses.keys() == {200}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("pair", PYPI + NPM, ids=lambda pair: pair.name)
def test_pair(outcome, pairs, pair):
    if pair not in pairs:
        pytest.skip("node is not installed")
    arrived = [
        total._replace(value=outcome.emulator.total(f"{pair.name}.{total.metric}", total.stat, **total.dimensions))
        for total in totals(pair)
    ]
    assert arrived == totals(pair)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["udp4", "dgram"])
def test_gunicorn(outcome, kind):
    name = f"gunicorn_{kind}.gunicorn"
    assert outcome.emulator.total(f"{name}.requests", env="test") == REQUESTS
    assert outcome.emulator.total(f"{name}.request.status.200", env="test") == REQUESTS
    assert outcome.emulator.total(f"{name}.request.duration", "count", env="test") == REQUESTS
    assert outcome.emulator.total(f"{name}.workers", "last", env="test") >= 0


async def test_sampled(tmp_path):
    """Sampled counts are scaled up: lines sent x 10."""
    import statsd

    emulator = make_emulator()
    url = await emulator.start()
    try:
        with relay_process(
            environment(url, recorded(tmp_path / "state"), WINDOW_SECONDS=str(LONG_WINDOW)), tmp_path / "log"
        ) as relay:
            client = statsd.StatsClient(*relay.udp)
            for _ in range(500):
                client.incr("sampled", rate=0.1)
            client.incr("end")
            client.close()
            await relay.wait_for(relay_accepted_lines_total=1)
            await settled(relay)
            accepted = relay.metrics()["relay_accepted_lines_total"]
            assert await relay.stop() == 0
        assert emulator.total("sampled") == (accepted - 1) * 10
    finally:
        await emulator.stop()
