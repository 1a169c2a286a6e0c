"""Whether an age is trusted: a clock that is ahead for some seconds must not make batches old."""

from __future__ import annotations

import pytest

from relay.delivery.sender.outcomes import Ages
from tests.support.clock import VirtualClock

DAY = 86_400.0


@pytest.fixture
def ages(clock):
    ages = Ages(clock)
    clock.advance(60)
    return ages


def test_a_clock_that_is_steady_is_believed(ages, clock):
    now = int(clock.wall())
    assert ages.is_old(now - 3600, DAY) is False
    assert ages.is_old(now - int(DAY) - 1, DAY) is True


def test_after_a_start_an_age_is_not_known_for_a_minute(clock):
    ages, old = Ages(clock), int(clock.wall() - 2 * DAY)
    clock.advance(59)
    assert ages.is_old(old, DAY) is None
    clock.advance(1)
    assert ages.is_old(old, DAY) is True


def test_a_step_is_believed_after_a_minute(ages, clock):
    now = int(clock.wall())
    clock.step_wall(10 * DAY)
    assert ages.is_old(now, DAY) is None
    clock.advance(59)
    assert ages.is_old(now, DAY) is None
    clock.advance(1)
    assert ages.is_old(now, DAY) is True


def test_a_step_is_believed_when_the_clouds_date_agrees(ages, clock):
    now = int(clock.wall())
    clock.step_wall(10 * DAY)
    ages.compare(clock.wall() - 1.0)
    assert ages.is_old(now, DAY) is True


def test_where_the_clouds_date_differs_the_smaller_age_counts(ages, clock):
    now = int(clock.wall())
    clock.step_wall(10 * DAY)
    ages.compare(clock.wall() - 10 * DAY)
    clock.advance(600)
    assert ages.is_old(now, DAY) is False
    assert ages.is_old(now - int(DAY), DAY) is True
    ages.compare(clock.wall() + 10 * DAY)
    assert ages.is_old(int(clock.wall()), DAY) is False


def test_a_skew_measured_before_a_step_is_void_after_it(ages, clock):
    now = int(clock.wall())
    ages.compare(clock.wall())
    clock.step_wall(10 * DAY)
    assert ages.is_old(now, DAY) is None
    clock.step_wall(-10 * DAY)
    assert ages.is_old(now, DAY) is False


class SteppingClock(VirtualClock):
    """Steps ten days ahead just before a reading of the wall time."""

    readings = 0
    steps_at = 0

    def wall(self) -> float:
        self.readings += 1
        if self.readings == self.steps_at:
            self.step_wall(10 * DAY)
        return super().wall()


@pytest.mark.parametrize("steps_at", range(1, 8))
def test_a_step_between_any_two_readings_makes_nothing_old(steps_at):
    clock = SteppingClock()
    ages, now = Ages(clock), int(clock._wall)
    clock.advance(60)
    ages.compare(now)
    clock.readings, clock.steps_at = 0, steps_at
    assert not any(ages.is_old(now, DAY) for _ in range(8))
    assert clock.readings >= steps_at


def test_with_a_clock_that_is_not_set_no_batch_is_old(ages, clock):
    now = int(clock.wall())
    clock.step_wall(100 * 365 * DAY)
    clock.advance(600)
    assert ages.is_old(now, DAY) is False
