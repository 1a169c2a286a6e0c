"""When a window is reported, and what it says was lost."""

from __future__ import annotations

import pytest

from relay.daemon.windows.reports import WindowReports
from relay.ledger import WindowRecord
from tests.support.context import make_context


class Told:
    """The reports."""

    def __init__(self) -> None:
        self.windows = []

    def closed(self, window, *, lost) -> None:
        self.windows.append((window.start, window.waiting, lost))


class Relay:
    """Reports with a virtual clock and a ledger of their own."""

    def __init__(self, clock) -> None:
        self.told, self.is_well, self.clock = Told(), True, clock
        self.context = make_context(clock)
        self.reports = WindowReports(self.told, self.context, spread=lambda: 10.0, has_problem=lambda: not self.is_well)

    def close(self, start: int, *, points: int = 5, **changes) -> WindowRecord:
        empty = {"rejected": {}, "kernel_drops": 0, "samples_dropped": {}, **changes}
        figures = {"stored_at": 0.0, "late": 0.0, "lines": 1, "samples": 1, "series": 1, "requests": 1}
        window = WindowRecord(start=start, seconds=60, points=points, **figures, **empty)
        self.context.ledger.windows.add(window)
        self.reports.add(window)
        return window

    def after(self, seconds: float) -> list[tuple[int, int, int]]:
        self.clock.advance(seconds)
        self.reports.report_due()
        return self.told.windows


@pytest.fixture
def relay(clock):
    return Relay(clock)


def test_a_settled_window_is_reported_at_once(relay):
    window = relay.close(60)
    assert relay.after(1) == []
    window.delivered = 4
    window.refused = 1
    assert relay.after(0.25) == [(60, 0, 0)]
    relay.close(120, points=0)
    assert relay.after(0)[1:] == [(120, 0, 0)]


@pytest.mark.parametrize(("is_well", "limit"), [(True, 15), (False, 2)])
def test_a_window_that_waits_is_reported_by_a_deadline(relay, is_well, limit):
    relay.is_well = is_well
    relay.close(60).delivered = 2
    assert relay.after(limit - 1) == []
    assert relay.after(1) == [(60, 3, 0)]
    assert relay.after(60) == [(60, 3, 0)], "once"


def test_windows_are_reported_in_their_order_and_the_rest_at_the_stop(relay):
    first, second = relay.close(60), relay.close(120)
    second.delivered = 5
    assert relay.after(5) == []
    first.delivered = 5
    assert relay.after(1) == [(60, 0, 0), (120, 0, 0)]
    relay.close(180)
    relay.reports.report_all()
    assert relay.told.windows[-1] == (180, 5, 0)


def test_what_was_lost_counts_once_and_what_was_asked_for_not_at_all(relay):
    relay.close(60, points=0, rejected={"bad_value": 2}, kernel_drops=3, samples_dropped={"rule": 9, "late_gauge": 4})
    relay.context.ledger.drop_points(0, 5, reason="spool_full")
    assert relay.after(0) == [(60, 0, 14)]
    relay.context.ledger.drop_points(0, 1, reason="too_old")
    relay.close(120, points=0)
    relay.close(180, points=0)
    assert relay.after(0)[1:] == [(120, 0, 1), (180, 0, 0)]
