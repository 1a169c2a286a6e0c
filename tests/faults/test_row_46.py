"""Row 46: another user of this machine takes the places of those who ask how the relay is."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

from tests.faults.test_streams import admin_of, probe
from tests.support.oracle import conserve

REQUESTS = 300
UNFINISHED = b"POST /api/v1/tee HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"


async def test_row_46_unfinished_requests(start, load, emulator, figure):
    """More than there are places for, renewed as they are closed: probes, metrics and samples go on."""
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


def open_request(relay) -> socket.socket:
    sock = socket.create_connection(admin_of(relay), timeout=5)
    sock.sendall(UNFINISHED)
    return sock
