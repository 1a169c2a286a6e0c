"""Rows about the process itself: stopped, continued, broken inside, and running for long."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.support.oracle import conserve

PAUSE = 5


async def test_row_05_stopped_for_five_seconds(start, load, emulator, figure):
    """A second of packets overruns a small buffer: exactly the packets that the kernel drops are missing."""
    relay = start(LISTEN_RECEIVE_BUFFER="64KiB")
    generator = load(relay, rate=2000, seconds=PAUSE + 3)
    await asyncio.sleep(1.5)
    before = relay.windows()
    relay.signal_worker(signal.SIGSTOP)
    await asyncio.sleep(PAUSE)
    relay.signal_worker(signal.SIGCONT)
    continued = time.time()
    sent = await generator.wait()
    drops = await asyncio.to_thread(relay.kernel_drops)
    verdict = await conserve(relay, emulator, sent, lost=drops)
    assert verdict.lost == drops > 0
    windows = relay.windows()
    assert windows == sorted(set(windows))
    assert before == windows[: len(before)]
    skipped = range(int(continued) - PAUSE + 1, int(continued) - 1)
    assert not set(windows) & set(skipped), "windows of the pause were closed in a burst"
    figure(5, f"{verdict}; kernel drops {drops}, counted exactly")
