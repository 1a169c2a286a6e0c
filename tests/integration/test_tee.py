"""Tees of a whole relay: the other daemon gets the same datagrams, and each is counted."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import subprocess
import time

import msgspec
import pytest

from relay.config.schema import ListenConfig, TeeConfig
from tests.support import hotpath
from tests.support.inprocess import open_relay
from tests.support.relay import RelayProcess, environment, free_port, make_emulator, run
from tests.support.state import LONG_WINDOW
from tests.support.statsd import running as statsd
from tests.support.targets import Daemon


async def until(condition, *, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def counter_lines() -> list[bytes]:
    """2,000 lines of 50 counters: floats, rates, negative ones; two of three have neighbours in their datagram."""
    generator = random.Random(3)
    values = ("1", "5", "0.5", "-2", "250")
    rates = ("", "", "|@0.1", "|@0.5")
    return [
        f"shop.{generator.randrange(50)}:{generator.choice(values)}|c{generator.choice(rates)}".encode()
        for _ in range(2_000)
    ]


@pytest.mark.timeout(360)
async def test_npm_statsd_behind_a_tee_has_the_same_totals(tmp_path):
    lines = counter_lines()
    with statsd(tmp_path, backends=[], flushInterval=9e8) as old:
        listen = ListenConfig(udp=["127.0.0.1:0"], tcp=["127.0.0.1:0"], hotpath=hotpath.chosen)
        async with open_relay(tmp_path / "state", listen=listen, tee=[TeeConfig(to=f"127.0.0.1:{old.udp}")]) as running:
            relay = running.relay
            datagrams = [b"\n".join(lines[first : first + 3]) for first in range(0, 1_500, 3)]
            for first in range(0, 500, 50):
                await running.feed(*datagrams[first : first + 50])
                await asyncio.sleep(0.01)
            with socket.create_connection(relay.streams.listeners[0].bound) as sock:
                sock.sendall(b"\n".join(lines[1_500:]))
            await until(lambda: relay.hotpath.tally().received == 2_000)
            [(sent, dropped)] = relay.tees.counts()
            assert dropped == 0
            assert 500 < sent < 520, "the stream's lines go in a few datagrams"
            await until(lambda: old.counters()["statsd.packets_received"] == sent)
            theirs = {name: value for name, value in old.counters().items() if name.startswith("shop.")}
            await until(lambda: relay.status.books().samples_closed == 2_000)
            await until(lambda: relay.status.books().created == relay.status.books().delivered)
            ours = {name: running.emulator.total(name) for name in theirs}
    assert len(theirs) == 50
    assert ours == pytest.approx(theirs, rel=1e-12)


EVERYTHING = b"udp4:1|c bad udp6:1|c x:1|c dgram:1|c tcp:1|c tcp:2|c cut-off stream:1|c dd:1|c dd:2|c".split()


async def test_every_socket_is_copied_to_every_target(tmp_path):
    paths = {form: str(tmp_path / form) for form in ("dgram", "stream", "datadog")}
    unix = [f"{form}:{path}" for form, path in paths.items()]
    listen = ListenConfig(udp=["127.0.0.1:0", "[::1]:0"], tcp=["127.0.0.1:0"], unix=unix, hotpath=hotpath.chosen)
    with Daemon() as first, Daemon("::1") as second:
        async with open_relay(
            tmp_path, listen=listen, tee=[TeeConfig(to=first.to), TeeConfig(to=second.to)]
        ) as running:
            relay = running.relay
            await running.feed(b"udp4:1|c", b"bad", b"")
            send(relay.listeners[1].bound, socket.SOCK_DGRAM, b"udp6:1|c\nx:1|c\n")
            send(paths["dgram"], socket.SOCK_DGRAM, b"dgram:1|c")
            send(relay.streams.listeners[0].bound, socket.SOCK_STREAM, b"tcp:1", b"|c\ntcp:2|c\ncut-off")
            send(paths["stream"], socket.SOCK_STREAM, b"stream:1|c\n")
            send(paths["datadog"], socket.SOCK_STREAM, b"\x0d\0\0\0dd:1|c\ndd:2|c")
            await until(lambda: relay.hotpath.tally().received == len(EVERYTHING))
            for daemon in (first, second):
                lines = b"\n".join(await asyncio.to_thread(daemon.received, len(EVERYTHING) - 2)).split(b"\n")
                assert sorted(filter(None, lines)) == sorted(EVERYTHING)
            counts = relay.tees.counts()
    assert counts[0] == counts[1]
    assert counts[0][1] == 0


def send(address, kind: socket.SocketKind, *parts: bytes) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.connect(address)
        for part in parts:
            sock.sendall(part)


async def test_targets_change_when_a_window_begins(tmp_path):
    with Daemon() as first, Daemon() as second:
        async with open_relay(tmp_path, tee=[TeeConfig(to=first.to)]) as running:
            relay = running.relay

            async def change(*targets: str) -> None:
                closed = relay.context.ledger.windows_closed
                config = msgspec.structs.replace(relay.config, tee=[TeeConfig(to=to) for to in targets])
                await running.reconfigure(config)
                await until(lambda: relay.context.ledger.windows_closed > closed)

            await running.feed(b"a:1|c")
            await change(first.to, second.to)
            await running.feed(b"b:1|c")
            assert relay.tees.counts() == [(2, 0), (1, 0)]
            await change(second.to)
            await running.feed(b"c:1|c")
            await change()
            await running.feed(b"d:1|c")
            assert first.received(2) == [b"a:1|c", b"b:1|c"]
            assert second.received(2) == [b"b:1|c", b"c:1|c"]
            assert relay.tees.counts() == []


def with_tees(state, *targets: str, **settings: str) -> dict[str, str]:
    return environment("http://127.0.0.1:1", state, TEE=json.dumps([{"to": to} for to in targets]), **settings)


async def test_50_000_packets_a_second_with_a_target_that_is_slow_one_that_is_gone_and_one_that_closes(tmp_path):
    """No target affects another; drops in the daemons' own buffers are counted at their sockets."""
    with Daemon() as good, Daemon() as slow, Daemon() as closing:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        gone = f"127.0.0.1:{free_port()}"
        environ = with_tees(tmp_path, good.to, slow.to, gone, closing.to)
        relay = await asyncio.to_thread(RelayProcess, environ, tmp_path / "log")
        try:
            sender = asyncio.to_thread(burst, relay.udp, packets=50_000, seconds=1.0)
            closer = asyncio.get_running_loop().call_later(0.5, closing.socket.close)
            await sender
            closer.cancel()
            metrics = await relay.wait_for(**{received_by(relay): 50_000 - relay.kernel_drops()})
            received = int(metrics[received_by(relay)])
            sent = [int(metrics[f'relay_tee_datagrams_total{{tee="{number}"}}']) for number in range(1, 5)]
            dropped = [int(metrics[f'relay_tee_dropped_total{{tee="{number}"}}']) for number in range(1, 5)]
            assert [a + b for a, b in zip(sent, dropped, strict=True)] == [received] * 4
            assert received == metrics["relay_accepted_lines_total"]
            assert dropped[:2] == [0, 0]
            assert len(good.received(sent[0])) == sent[0]
            assert 0 < len(slow.received()) < sent[1]
            expected = dict.fromkeys((gone, closing.to), "no process receives there: Connection refused")
            async with asyncio.timeout(10):
                while {e["tee"]: e["why"] for e in relay.events("copies of a tee are lost")} != expected:
                    await asyncio.sleep(0.1)
        finally:
            relay.kill()


def received_by(relay: RelayProcess) -> str:
    host, port = relay.udp
    return f'relay_datagrams_total{{listener="udp://{host}:{port}"}}'


def burst(address: tuple[str, int], *, packets: int, seconds: float) -> None:
    """Send packets evenly, each with one line."""
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        for number in range(packets):
            sock.send(b"hits:1|c")
            if number % 50 == 49:
                time.sleep(max(0.0, began + number / packets * seconds - time.monotonic()))


async def test_a_worker_that_is_replaced_loses_no_copy(tmp_path):
    """The native reader copies before the worker has read its configuration, so it inherits the targets."""
    with Daemon() as daemon:
        emulator = make_emulator()
        url = await emulator.start()
        ports = {"LISTEN_UDP": f"127.0.0.1:{free_port()}", "ADMIN_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"}
        environ = with_tees(tmp_path, daemon.to, WINDOW_SECONDS=str(LONG_WINDOW), **ports)
        environ["STATSD_RELAY_CLOUD_ENDPOINT"] = f"{url}/v1/customMetrics"
        relay = await asyncio.to_thread(RelayProcess, environ, tmp_path / "log")
        try:
            before = relay.worker_pid
            sender = asyncio.create_task(asyncio.to_thread(burst, relay.udp, packets=6_000, seconds=2.0))
            await asyncio.sleep(0.3)
            relay.process.send_signal(signal.SIGUSR2)
            await relay.gone(before)
            await sender
            assert len(await asyncio.to_thread(daemon.received, 6_000)) == 6_000
            assert relay.kernel_drops() == 0
            assert relay.worker_pid != before
            assert await relay.stop() == 0
        finally:
            relay.kill()
            await emulator.stop()


def test_a_loop_ends_the_start_with_a_reason(tmp_path):
    environ = with_tees(tmp_path, "localhost:8125", LISTEN_UDP="127.0.0.1:8125")
    done = subprocess.run(run(), env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 78
    assert "RLY106" in done.stderr
    assert "an address of this relay" in done.stderr
