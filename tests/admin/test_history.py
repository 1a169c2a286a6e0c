"""The last hour in numbers: bounded, exact rates, and what a step of the clock does."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace

from relay.admin.history import COARSE_SECONDS, COARSE_STEP, FINE_SECONDS, History, Row
from relay.admin.http.api.history import columns
from tests.support.admin_port import fetch
from tests.support.clock import VirtualClock
from tests.support.inprocess import open_relay

ROW = Row(0.0, *[0] * 10, None, None, None, 0, 0.0)
RELAY = SimpleNamespace(
    config=SimpleNamespace(limits=SimpleNamespace(series=50_000), cloud=SimpleNamespace(requests_per_minute=900)),
    context=SimpleNamespace(clock=VirtualClock()),
)


def filled(seconds: int) -> History:
    history = History(RELAY)
    for second in range(seconds):
        history.add(ROW._replace(wall=1000.0 + second, lines=7 * second))
    return history


def test_five_minutes_are_kept_by_the_second_and_an_hour_by_ten():
    rows = filled(3 * COARSE_SECONDS).rows()
    steps = [after.wall - before.wall for before, after in pairwise(rows)]
    assert steps[-FINE_SECONDS + 1 :] == [1.0] * (FINE_SECONDS - 1)
    assert set(steps[: -FINE_SECONDS - 1]) == {float(COARSE_STEP)}
    assert len(rows) == FINE_SECONDS + (COARSE_SECONDS - FINE_SECONDS) // COARSE_STEP
    assert COARSE_SECONDS - COARSE_STEP <= rows[-1].wall - rows[0].wall <= COARSE_SECONDS


def test_rates_are_exact_over_both_steps():
    answer = columns(RELAY, filled(2000).rows())
    assert set(answer.lines) == {7.0}
    assert len(answer.lines) == len(answer.at) == len(answer.lag) == len(answer.series)


def test_a_shorter_time():
    assert len(filled(1000).rows(60)) == 61
    assert columns(RELAY, []).at == []


def test_a_clock_that_is_stepped_back_gives_no_rate():
    history = filled(3)
    history.add(ROW._replace(wall=500.0, lines=1000))
    assert columns(RELAY, history.rows(3600)).lines[-1] is None


async def test_the_history_of_a_relay(tmp_path):
    async with open_relay(tmp_path) as running:
        address, answer = running.relay.admin.bound, {}
        async with asyncio.timeout(20):
            while not sum(answer.get("lines", [])):
                await running.feed(b"a:1|c\nb:1|c", b"x")
                _, _, answer = await fetch(address, "/api/v1/history?seconds=60")
                await asyncio.sleep(0.1)
        status, _, error = await fetch(running.relay.admin.bound, "/api/v1/history?seconds=3601")
    assert (answer["series_limit"], answer["requests_per_minute_limit"]) == (50_000, 900)
    assert len({len(column) for column in answer.values() if isinstance(column, list)}) == 1
    assert sum(answer["lines"]) > sum(answer["rejected"]) > 0
    assert status == 400
    assert "3600" in error["error"]["message"]
