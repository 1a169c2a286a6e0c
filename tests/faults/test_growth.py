"""Row 8: nothing grows while the relay works hard for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.inprocess import open_relay
from tests.support.relay import assert_books
from tests.support.server import Server, send
from tests.support.tools import need
from tests.support.traffic import datagrams, write

SECONDS, WINDOW = 60, 5
GROWTH = 8.0
"""MB by which the resident set may grow after the second window: allocators and batches in flight vary by that."""


async def test_row_08_no_task_is_left_behind(tmp_path, figure):
    async with open_relay(tmp_path) as running:
        counts = []
        for window in range(6):
            await running.feed(*[b"a.%d:1|c\nb.%d:2|ms\nc.%d:3|g" % (n, n, n) for n in range(200)])
            while len(running.reporter.windows) <= window or running.relay.spool.points or running.relay.pool.in_flight:
                await asyncio.sleep(0.02)
            counts.append(len(asyncio.all_tasks()))
        assert max(counts[2:]) <= max(counts[:2]) + 1, "one more at most: acknowledgements are gathered for a moment"
    figure(8, f"tasks after each of 6 windows: {counts}")


@pytest.mark.full
@pytest.mark.alone
async def test_row_08_a_minute_at_four_fifths_of_capacity(start, emulator, figure, tmp_path):
    need("GCC")
    relay = start(WINDOW_SECONDS=str(WINDOW))
    server = Server("relay", relay.process.pid, relay.udp[1], queue=2 << 20)
    traffic = write(datagrams("full"), tmp_path / "traffic")
    warm, took = await asyncio.to_thread(send, server, traffic, 3.0)
    rate = 0.8 * warm / took
    sending = asyncio.create_task(asyncio.to_thread(send, server, traffic, float(SECONDS), rate))
    sizes, threads, files = [], [], []
    for _ in range(SECONDS // WINDOW):
        await asyncio.sleep(WINDOW)
        process = Path(f"/proc/{relay.worker_pid}")
        sizes.append(int((process / "status").read_text().partition("VmRSS:")[2].split()[0]) / 1024)
        threads.append(len(list((process / "task").iterdir())))
        files.append(len(list((process / "fd").iterdir())))
    sent = warm + (await sending)[0]
    await asyncio.sleep(WINDOW + 1)
    metrics = relay.metrics()
    assert_books(metrics)
    received = sum(value for key, value in metrics.items() if key.startswith("relay_datagrams_total"))
    drops = relay.kernel_drops()
    assert received + drops == sent, "packets that are counted nowhere"
    steady = [max(numbers[2:]) - max(numbers[:2]) for numbers in (sizes, threads, files)]
    assert steady[0] < GROWTH, sizes
    assert steady[1] <= 0, threads
    assert steady[2] <= 2, f"files and connections: {files}"
    figure(
        8,
        f"{SECONDS} s at {rate:.0f} datagrams/s of 50 lines: RSS {sizes[1]:.0f} -> {sizes[-1]:.0f} MB, threads"
        f" {threads[1]} -> {threads[-1]}, files {files[1]} -> {files[-1]}, {drops} of {sent} dropped by the kernel",
    )
