"""Rows 23 to 25 and 47: stream sockets that are held open, pushed too hard, or left behind."""

from __future__ import annotations

import asyncio
import resource
import select
import signal
import socket
import stat
import time
import urllib.request
from contextlib import suppress

import pytest
from statsd import TCPStatsClient

from tests.faults.test_restarts import replaced
from tests.support.oracle import conserve
from tests.support.relay import run

MIB = 1 << 20
CONNECTIONS = 1_000
LIMIT = 256
LINE = b"push:1|c\n"
FRAME = 800 * len(LINE)


def address_of(relay, form: str) -> tuple[str, int]:
    return relay.listening(form)[0]


def admin_of(relay) -> tuple[str, int]:
    host, _, port = relay.admin.rpartition(":")
    return host, int(port)


def connect(address) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(address)
    return sock


def total(metrics: dict[str, float], name: str) -> int:
    return int(sum(value for key, value in metrics.items() if key.startswith(f"{name}{{")))


@pytest.fixture
def descriptors():
    """Room for a thousand connections on this side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * CONNECTIONS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def besiege(addresses, beginning: bytes) -> list[socket.socket]:
    """Open the connections and send the beginning of a line on each."""
    socks = []
    for number in range(CONNECTIONS):
        sock = connect(addresses[number % len(addresses)])
        sock.setblocking(False)
        with suppress(OSError):  # closed at once
            sock.send(beginning)
        socks.append(sock)
    return socks


def crowd(address, clients: int) -> list[socket.socket]:
    """Connect and send the beginning of a line."""
    socks = [connect(address) for _ in range(clients)]
    for sock in socks:
        with suppress(OSError):  # closed at once
            sock.send(b"x")
    return socks


def drip(socks: list[socket.socket]) -> None:
    for sock in socks:
        with suppress(OSError):
            sock.send(b"x")


def count_closed(socks: list[socket.socket]) -> int:
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return len(poll.poll(0))


async def has_closed(count: int, socks: list[socket.socket]) -> None:
    """Wait until the relay has closed `count` connections; it counts one shortly before the client's kernel knows."""
    until = time.monotonic() + 30
    while count_closed(socks) != count:
        assert time.monotonic() < until, f"{count_closed(socks)} are closed"
        await asyncio.sleep(0.05)


async def probe(relay) -> float:
    """Return the seconds until the health probe is answered, over a connection of its own."""
    began = time.monotonic()
    await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://{relay.admin}/-/healthy", timeout=10).close())
    return time.monotonic() - began


@pytest.mark.full
async def test_row_23_a_thousand_slow_streams(start, load, emulator, figure, tmp_path, descriptors):
    """Lines without an end on every socket, a byte a second; UDP and probes are not affected."""
    paths = {form: str(tmp_path / form) for form in ("stream", "datadog")}
    relay = start(
        LISTEN_TCP="127.0.0.1:0",
        LISTEN_UNIX=",".join(f"{form}:{path}" for form, path in paths.items()),
        LISTEN_STREAM_CONNECTIONS=str(LIMIT),
    )
    generator = load(relay, rate=2000, seconds=12)
    before = (await asyncio.to_thread(relay.metrics))["process_resident_memory_bytes"]
    # Of the framed socket: a frame of 65,507 bytes that lacks its last ones.
    beginning = (65_507).to_bytes(4, "little") + b"a" * 60_000
    socks = await asyncio.to_thread(besiege, [address_of(relay, "tcp"), *paths.values()], beginning)
    began, most, memory, slowest = time.monotonic(), 0, 0.0, 0.0
    while time.monotonic() < began + 8:
        await asyncio.to_thread(drip, socks)
        slowest = max(slowest, await probe(relay))
        metrics = await asyncio.to_thread(relay.metrics)
        most = max(most, total(metrics, "relay_stream_connections"))
        memory = max(memory, metrics["process_resident_memory_bytes"] - before)
        await asyncio.sleep(1)
    sent = await generator.wait()
    verdict = await conserve(relay, emulator, sent)
    metrics = await asyncio.to_thread(relay.metrics)
    evicted = total(metrics, "relay_stream_evicted_total")
    assert most == LIMIT
    assert evicted == CONNECTIONS - LIMIT
    await has_closed(evicted, socks)
    assert metrics['relay_rejected_lines_total{reason="truncated"}'] == evicted, "what was lost is counted"
    assert await asyncio.to_thread(relay.kernel_drops) == 0
    assert memory <= 32 * MIB
    assert slowest <= 4
    with connect(paths["stream"]) as sock:
        sock.sendall(b"afterwards:1|c\n")
        while not emulator.points("afterwards"):
            await asyncio.sleep(0.05)
    for sock in socks:
        sock.close()
    figure(23, f"{evicted} evicted, +{memory / MIB:.0f} MiB, probes within {slowest:.2f} s; UDP: {verdict}")


async def test_row_47_ten_times_as_many_clients_as_there_is_room_for(start, load, emulator, figure, descriptors):
    """Each sends a line and stays: all lines arrive, and the oldest connections are closed and counted."""
    most, clients = 30, 300
    relay = start(LISTEN_TCP="127.0.0.1:0", LISTEN_STREAM_CONNECTIONS=str(most))
    generator = load(relay, rate=2000, seconds=4)
    address, socks, slowest = address_of(relay, "tcp"), [], 0.0
    for number in range(clients):
        socks.append(await asyncio.to_thread(connect, address))
        socks[-1].sendall(b"client.%d:1|c\n" % number)
        if number % 100 == 0:
            slowest = max(slowest, await probe(relay))
    verdict = await conserve(relay, emulator, await generator.wait())
    metrics = await asyncio.to_thread(relay.metrics)
    assert total(metrics, "relay_stream_connections") == most
    assert total(metrics, "relay_stream_evicted_total") == clients - most
    await has_closed(clients - most, socks)
    # Sent bytes make a connection young, and two lines may be read in another order than they were sent in.
    assert count_closed(socks[: -2 * most]) == clients - 2 * most, "the oldest are closed"
    assert sum(emulator.total(f"client.{number}") for number in range(clients)) == clients
    told, *_ = await relay.told("stream connection closed")
    assert (told["why"], slowest <= 4) == (f"another came, and {most} are open", True)
    for sock in socks:
        sock.close()
    figure(47, f"{clients} clients in {most} places, no line lost; probes within {slowest:.2f} s; UDP: {verdict}")


@pytest.mark.parametrize("limit", [120, 256])
async def test_row_47_more_clients_than_descriptors(start, load, emulator, figure, descriptors, limit):
    """Clients get their share of descriptors; checkpoints, delivery, probes and a reload have theirs."""
    limited = ("bash", "-c", f'ulimit -Sn 64 && ulimit -Hn {limit} && exec "$0" "$@"', *run())
    relay = start(LISTEN_TCP="127.0.0.1:0", LISTEN_STREAM_CONNECTIONS="10000", command=limited)
    generator = load(relay, rate=500, seconds=60)
    socks = await asyncio.to_thread(crowd, address_of(relay, "tcp"), 200)
    probes = [await asyncio.to_thread(socket.create_connection, admin_of(relay)) for _ in range(100)]
    slowest = 0.0
    for _ in range(4):
        slowest = max(slowest, await probe(relay))
        await asyncio.sleep(0.5)
    before = relay.worker_pid
    relay.process.send_signal(signal.SIGUSR2)
    await replaced(relay, before)
    more = await asyncio.to_thread(crowd, address_of(relay, "tcp"), 200)
    await asyncio.sleep(1)
    verdict = await conserve(relay, emulator, await generator.stop())
    told, *_ = await relay.told("RLY205")
    assert (told["open_files_limit"], told["configured_connections"]) == (limit, 10_000)
    assert 0 < told["connections"] < limit
    assert not relay.events("stream connections wait")
    assert [event for event in relay.events() if event.get("code", "").startswith("RLY41")] == []
    assert await asyncio.to_thread(relay.kernel_drops) == 0
    assert slowest <= 4
    figure(47, f"{limit} descriptors: {told['connections']} streams, probes in {slowest:.2f} s; UDP: {verdict}")
    for sock in (*socks, *more, *probes):
        sock.close()


@pytest.mark.full
async def test_row_47_a_client_that_is_idle_for_a_minute(start, emulator, figure):
    """It sends again after a break, and cannot notice that the connection was closed meanwhile."""
    relay = start(LISTEN_TCP="127.0.0.1:0")
    client = TCPStatsClient(*address_of(relay, "tcp"))
    client.incr("idle.a")
    await asyncio.sleep(65)
    for name in "bcd":
        client.incr(f"idle.{name}")
        await asyncio.sleep(0.2)
    while not emulator.points("idle.d"):
        await asyncio.sleep(0.05)
    assert [emulator.total(f"idle.{name}") for name in "abcd"] == [1] * 4
    client.close()
    figure(47, "idle for 65 s: 4 of 4 lines arrive")


async def push(address, text: bytes, *, framed: bool) -> None:
    """Write as fast as the socket accepts."""
    if framed:
        frames = [text[at : at + FRAME] for at in range(0, len(text), FRAME)]
        text = b"".join(len(frame).to_bytes(4, "little") + frame for frame in frames)
    with connect(address) as sock:
        sock.settimeout(60)
        await asyncio.to_thread(sock.sendall, text)


@pytest.mark.full
async def test_row_24_streams_faster_than_the_relay(start, load, emulator, figure, tmp_path):
    """Senders without a rate limit, and a reader that is stopped for two seconds: they wait, no line is lost."""
    paths = {form: str(tmp_path / form) for form in ("stream", "datadog", "dgram")}
    relay = start(LISTEN_TCP="127.0.0.1:0", LISTEN_UNIX=",".join(f"{form}:{path}" for form, path in paths.items()))
    tcp = address_of(relay, "tcp")
    generators = [
        load(relay, to=to, rate=2000, seconds=8, name=to.partition(":")[0])
        for to in (f"tcp:{tcp[0]}:{tcp[1]}", f"stream:{paths['stream']}", f"unix:{paths['dgram']}")
    ]
    await asyncio.sleep(1)
    senders, text = 4, LINE * 400_000
    began = time.monotonic()
    pushes = [
        asyncio.create_task(push(address, text, framed=address == paths["datadog"]))
        for address in (tcp, paths["stream"], paths["datadog"]) * senders
    ]
    await asyncio.sleep(0.02)
    relay.signal_worker(signal.SIGSTOP)
    await asyncio.sleep(2)
    waited = sum(not push.done() for push in pushes)
    relay.signal_worker(signal.SIGCONT)
    await asyncio.gather(*pushes)
    took = time.monotonic() - began
    verdict = await conserve(relay, emulator, *[await generator.wait() for generator in generators])
    pushed = len(pushes) * len(text) // len(LINE)
    # A request that the stop caught on its way may be sent again, byte by byte: a minute counts once.
    minutes = {point["timestamp"]: point["values"]["sum"] for point in emulator.points("push")}
    assert sum(minutes.values()) == pushed
    assert waited >= senders, "the relay was slower than at least one kind of sender"
    assert verdict.lost == 0
    figure(24, f"{pushed} lines pushed in {took:.1f} s, {waited} senders waited, 0 lost; paced ones: {verdict}")


async def test_row_25_files_of_unix_sockets(start, load, settings, emulator, figure, tmp_path):
    """The socket of a killed relay is replaced; one in use, or another file, is not. The mode is the configured one."""
    paths = {form: tmp_path / form for form in ("dgram", "stream", "datadog")}
    unix = ",".join(f"{form}:{path}" for form, path in paths.items())
    relay = start(LISTEN_UNIX=unix, LISTEN_UNIX_MODE="0620")
    modes = {form: stat.S_IMODE(path.stat().st_mode) for form, path in paths.items()}
    assert set(modes.values()) == {0o620}
    second = await asyncio.create_subprocess_exec(
        *run(),
        env=settings(LISTEN_UNIX=unix, SPOOL_PATH=str(tmp_path / "other")),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _, told = await second.communicate()
    assert second.returncode == 71
    assert b"RLY101" in told
    assert b"in use" in told
    relay.kill()
    assert all(path.is_socket() for path in paths.values()), "a killed relay leaves them"
    paths["stream"].unlink()
    paths["stream"].write_text("another file")
    third = await asyncio.create_subprocess_exec(
        *run(), env=settings(LISTEN_UNIX=unix), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    _, told = await third.communicate()
    assert (third.returncode, b"no socket" in told) == (71, True)
    assert paths["stream"].read_text() == "another file"
    paths["stream"].unlink()
    await asyncio.to_thread(relay.start)
    generators = [load(to=f"unix:{paths['dgram']}", rate=500, seconds=2, name="d")]
    generators.append(load(to=f"stream:{paths['stream']}", rate=500, seconds=2, name="s"))
    verdict = await conserve(relay, emulator, *[await generator.wait() for generator in generators])
    assert await relay.stop() == 0
    assert not any(path.exists() for path in paths.values()), "an orderly end leaves nothing"
    figure(25, f"3 stale files replaced, 2 starts refused, mode 0620, nothing left behind; {verdict}")


async def test_row_01_unix_senders_over_a_replacement(start, load, emulator, figure, tmp_path):
    """The supervisor holds these sockets too: senders of datagrams wait, stream clients connect again."""
    paths = {form: str(tmp_path / form) for form in ("dgram", "stream")}
    relay = start(LISTEN_UNIX=",".join(f"{form}:{path}" for form, path in paths.items()))
    generators = [
        load(to=to, rate=2000, seconds=60, name=to.partition(":")[0])
        for to in (f"unix:{paths['dgram']}", f"stream:{paths['stream']}")
    ]
    for _ in range(3):
        await asyncio.sleep(0.5)
        await relay.wait_for(**{f'relay_stream_connections{{listener="unix-stream:{paths["stream"]}"}}': 1})
        before = relay.worker_pid
        relay.process.send_signal(signal.SIGUSR2)
        await replaced(relay, before)
    sents = [await generator.stop() for generator in generators]
    verdict = await conserve(relay, emulator, *sents)
    assert sents[1].breaks >= 1, "a connection that is not accepted yet survives"
    figure(1, f"3 replacements under Unix datagrams and a stream, which broke {sents[1].breaks} times: {verdict}")
