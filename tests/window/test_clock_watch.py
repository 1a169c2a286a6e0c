"""What is told of the wall clock: steps, and a window that has to wait."""

from __future__ import annotations

import pytest
import structlog

from relay.window.clock_watch import ClockWatch
from tests.support.context import make_context


class Waits:
    open_id = 1_764_003_600

    def __init__(self):
        self.seconds = 0.0

    def opens_in(self):
        return self.seconds


@pytest.fixture
def watched(clock):
    closer = Waits()
    watch = ClockWatch(closer, make_context(clock, interval=0.0))
    with structlog.testing.capture_logs() as events:
        yield closer, watch, events


def test_a_step_is_logged_with_its_size(watched, clock):
    _, watch, events = watched
    for seconds in (0.1, -3600.0, 0.0, 0.5):
        clock.advance(0.5)
        clock.step_wall(seconds)
        watch.check()
    assert [(event["code"], event["step_seconds"]) for event in events] == [("RLY124", -3600.0), ("RLY124", 0.5)]


def test_a_window_that_waits_is_logged_once(watched):
    closer, watch, events = watched
    watch.check()
    closer.seconds = 1800.0
    watch.check()
    watch.check()
    assert [(event["opens_in_seconds"], event["window"]) for event in events] == [(1800, Waits.open_id)]
    closer.seconds = 0.0
    watch.check()
    closer.seconds = 60.5
    watch.check()
    assert len(events) == 2
