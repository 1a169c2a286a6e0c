"""Schedules: absolute, caught up in steps, never ahead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tools.traffic.pace import Pace, Spacing


def test_a_pace_keeps_its_rate():
    pace = Pace(rate=1_000, seconds=2)
    assert pace.total == 2_000
    assert pace.due(0, 0) == 1, "the first one at once"
    assert pace.due(0.0095, 1) == 9
    assert pace.due(0.0095, 10) == 0
    assert pace.due(100, 1_995) == 5, "no more than all"
    assert pace.moment(1_500) == 1.5


def test_a_stall_is_caught_up_in_steps():
    pace, done, steps = Pace(rate=20_000, seconds=1), 0, []
    while due := pace.due(0.01, done):
        steps.append(due)
        done += due
    assert steps == [80, 80, 41]
    assert Pace(rate=1e9, seconds=1).due(1, 0) == 1_000


@given(rate=st.floats(0.1, 1e6), looks=st.lists(st.floats(0, 0.01), max_size=50))
def test_nothing_is_sent_ahead_of_its_time(rate, looks):
    pace, elapsed, done = Pace(rate=rate, seconds=10), 0.0, 0
    for pause in looks:
        elapsed += pause
        done += pace.due(elapsed, done)
        assert done == 0 or pace.moment(done - 1) <= elapsed * (1 + 1e-9)


@pytest.mark.parametrize(("speed", "moments"), [(1, [0, 1.5, 1.0]), (10, [0, 0.15, 0.1]), (0, [0, 0, 0])])
def test_spacing(speed, moments):
    spacing = Spacing(speed)
    start = 1_795_651_742_142_176_789
    assert [spacing.moment(start + offset) for offset in (0, 1_500_000_000, 1_000_000_000)] == pytest.approx(moments)
    assert spacing.is_kept == (speed > 0)
