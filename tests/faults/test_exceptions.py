"""Row 7: an exception in any stage. The relay goes on and logs it, or ends with a code that is not 0."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.inject import STAGES, Inject
from tests.support.oracle import conserve, freshness

RATE = 1000
INTERVAL = 1.0
"""Seconds of data that an end may lose: one checkpoint interval, as with kill -9."""


async def ended(relay, victim: int, emulator) -> bool:
    """Wait until a worker has ended, or delivers a fresh packet; say whether it ended."""

    def has_ended() -> bool:
        return relay.process.poll() is not None or relay.worker_pid != victim

    until, fresh = time.monotonic() + 0.7, None
    while not (has_ended() or (fresh and fresh.done())):
        if fresh is None and time.monotonic() > until:
            fresh = asyncio.create_task(freshness(relay, emulator, within=20))
        await asyncio.sleep(0.02)
    if not has_ended():
        await fresh
    elif fresh:
        fresh.cancel()
        await asyncio.gather(fresh, return_exceptions=True)
    return has_ended()


@pytest.mark.parametrize(
    "stages", [pytest.param(STAGES[::4], id="some"), pytest.param(STAGES, id="all", marks=pytest.mark.full)]
)
async def test_row_07_an_exception_in_any_stage(stages, start, load, emulator, figure, tmp_path):
    inject = Inject(tmp_path)
    relay = start(environ=inject.environment, LOG_LEVEL="info")
    generator = load(relay, rate=RATE, seconds=150)
    ends, closed = [], 0.0
    for point in stages:
        victim, told = relay.worker_pid, len(relay.text())
        inject.arm("raise", point.name)
        if point.name == "admin":
            await asyncio.to_thread(relay.scrape)
        await inject.struck()
        if await ended(relay, victim, emulator):
            assert relay.process.poll() != 0, "an exception must not look like an orderly end"
            ends.append(point.name)
            closed += await relay.revived()
        assert "InjectedError" in relay.text()[told:], f"an exception in the {point.name} is not in the log"
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=int(RATE * (len(ends) * INTERVAL + closed)))
    assert "never retrieved" not in relay.text(), "a task died without a log line"
    lived = [point.name for point in stages if point.name not in ends]
    figure(7, f"{len(stages)} stages: {len(ends)} ended loudly, lived with {', '.join(lived) or 'none'}; {verdict}")


@pytest.mark.parametrize("stage", ["signer", "transport", "classifier", "sender, recording"])
async def test_row_07_an_exception_on_the_way_of_a_batch_ends_no_worker(stage, start, load, emulator, figure, tmp_path):
    """A batch, an answer or a credential may cause one each time, and would end each worker in turn."""
    inject = Inject(tmp_path)
    relay = start(environ=inject.environment, LOG_LEVEL="info")
    worker, generator = relay.worker_pid, load(relay, rate=RATE, seconds=60)
    for _ in range(7):
        inject.arm("raise", stage)
        await inject.struck()
    verdict = await conserve(relay, emulator, await generator.stop(), lost=0)
    metrics = await asyncio.to_thread(relay.metrics)
    assert relay.worker_pid == worker
    assert metrics['relay_requests_total{code="internal_error"}'] == 7
    assert "InjectedError in " in relay.text()
    figure(7, f"{stage}: seven exceptions, the same worker, {verdict}")
