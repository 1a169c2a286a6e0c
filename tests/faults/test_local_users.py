"""Row 46: another user of this machine fills the admin port with requests and floods every open address."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.test_restarts import replaced
from tests.faults.test_streams import admin_of, probe
from tests.support.oracle import conserve

REQUESTS = 300
FLOOD = """
import socket, sys
host, port, *addresses = sys.argv[1:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
kept = []
while True:
    for address in addresses * 100:
        try:
            sock.sendto(b"READY=1", "\\0" + address[1:])
        except OSError:
            pass
    try:
        kept.append(socket.create_connection((host, int(port)), timeout=1))
    except OSError:
        pass
    del kept[:-200]
"""
UNFINISHED = b"POST /api/v1/tee HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"


async def test_row_46_unfinished_requests(start, load, emulator, figure):
    """More unfinished requests than the server accepts, renewed as they are closed: probes and metrics go on."""
    relay = start()
    generator = load(relay, rate=1000, seconds=60)
    unfinished = [open_request(relay) for _ in range(REQUESTS)]
    slowest, ends = 0.0, time.monotonic() + 8
    while time.monotonic() < ends:
        slowest = max(slowest, await probe(relay))
        assert await asyncio.to_thread(relay.scrape)
        unfinished += [open_request(relay) for _ in range(20)]
        await asyncio.sleep(0.2)
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "healthcheck", env={**relay.environ, "STATSD_RELAY_ADMIN_LISTEN": relay.admin}
    )
    assert await command.wait() == 0
    verdict = await conserve(relay, emulator, await generator.stop())
    assert slowest <= 4
    for sock in unfinished:
        sock.close()
    figure(46, f"{len(unfinished)} unfinished requests, probes within {slowest:.2f} s; {verdict}")


def datagram_addresses(*pids: int) -> list[str]:
    """Return the abstract addresses of these processes' Unix datagram sockets; every local process may write there."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                inodes.add(descriptor.readlink().name.removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [row[7] for row in rows if len(row) > 7 and row[4] == "0002" and row[6] in inodes and row[7][0] == "@"]


async def test_row_46_floods_of_what_listens(start, load, emulator, figure):
    """Datagrams to every address, connections to the admin port: a worker is killed and replaced meanwhile."""
    relay = start()
    generator = load(relay, rate=1000, seconds=60)
    addresses = datagram_addresses(relay.process.pid, relay.worker_pid)
    flood = await asyncio.create_subprocess_exec(sys.executable, "-c", FLOOD, *admin_of_text(relay), *addresses)
    try:
        slowest = 0.0
        for harm in (signal.SIGUSR2, signal.SIGKILL):
            before = relay.worker_pid
            if harm == signal.SIGKILL:
                await relay.gone(relay.signal_worker(harm))
            else:
                relay.process.send_signal(harm)
            await replaced(relay, before)
            await asyncio.sleep(1)
            slowest = max(slowest, await probe(relay))
    finally:
        flood.kill()
        await flood.wait()
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=4000)  # a second of samples, x 4
    assert slowest <= 4
    assert relay.process.returncode is None
    figure(46, f"{len(addresses)} addresses open to every process; probes within {slowest:.2f} s; {verdict}")


def admin_of_text(relay) -> list[str]:
    host, port = admin_of(relay)
    return [host, str(port)]


def open_request(relay) -> socket.socket:
    sock = socket.create_connection(admin_of(relay), timeout=5)
    sock.sendall(UNFINISHED)
    return sock
