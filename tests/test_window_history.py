"""The history of closed windows: bounded, and in step with the ledger."""

from __future__ import annotations

import asyncio

from relay.ledger import WINDOWS_MAX, WindowHistory
from tests.support.context import window_record
from tests.support.inprocess import open_relay


def test_the_points_of_a_window_wait_until_their_outcome_is_counted():
    history = WindowHistory()
    history.add(window_record(60))
    history.sent(60, delivered=6, refused=1)
    history.dropped(60, 2, reason="too_old")
    history.answered(60, 121.0)
    history.answered(60, 125.0)
    window = history.last
    assert (window.waiting, window.delivered, window.refused, window.dropped) == (1, 6, 1, {"too_old": 2})
    assert window.first_answer_at == 121.0


def test_outcomes_of_other_windows_are_ignored():
    history = WindowHistory()
    history.sent(60, delivered=6, refused=1)
    history.add(window_record(120))
    history.dropped(60, 2, reason="too_old")
    assert history.last.waiting == 10
    assert history.get(60) is None


def test_the_newest_windows_are_kept():
    history = WindowHistory()
    for number in range(WINDOWS_MAX + 3):
        history.add(window_record(60 * number))
    assert (len(history), next(iter(history)).start, history.last.start) == (60, 180, 62 * 60)


async def test_the_history_of_a_real_relay_agrees_with_the_ledger(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(b"web.a:1|c\nweb.b:2|ms\nbad")
        await running.relay.closer.close()
        ledger = running.relay.context.ledger
        window = ledger.windows.last
        while window.waiting:
            await asyncio.sleep(0.01)
    assert (window.lines, window.rejected, window.series) == (3, {"no_value": 1}, 2)
    assert (window.points, window.delivered) == (ledger.points_created, ledger.points_delivered)
    assert window.first_answer_at >= window.stored_at
