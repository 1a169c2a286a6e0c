"""The breakers in virtual time: when they open, and which probes are sent meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.sender.breaker import Breaker, RefusalBreaker, fix_for


def test_five_failures_in_a_row_open_it():
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(10, 0.5)
    breaker.succeeded()
    for number in range(5):
        assert not breaker.is_open
        assert breaker.wait(10, number) == 0
        breaker.failed(10, 0.5)
    assert breaker.is_open
    assert breaker.wait(10, 0) == pytest.approx(5)


def test_half_of_the_last_twenty_open_it():
    breaker = Breaker()
    for _ in range(9):
        breaker.failed(0, 0)
        breaker.succeeded()
    assert not breaker.is_open
    breaker.succeeded()
    breaker.failed(0, 0)
    assert breaker.is_open


@given(st.lists(st.floats(0, 1), min_size=60, max_size=60), st.sampled_from([1.0, 60.0]))
def test_at_most_two_probes_a_minute_while_it_is_open(jitter, minute):
    breaker, now, tries = Breaker(minute=minute), 0.0, []
    for _ in range(5):
        breaker.failed(now, jitter[0])
    for roll in jitter:
        now += breaker.wait(now, 0)
        assert breaker.wait(now, 0) == 0
        assert breaker.wait(now, 1) > 0, "only one at a time"
        breaker.acquire(now, roll)
        tries.append(now)
        breaker.failed(now, roll)
    for index, first in enumerate(tries):
        assert sum(first <= other < first + minute * 0.999 for other in tries[index:]) <= 2


def test_after_a_success_sending_starts_step_by_step():
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0, 0)
    breaker.succeeded()
    allowed = []
    for _ in range(6):
        allowed.append(next(number for number in range(100) if number == 99 or breaker.wait(0, number)))
        breaker.succeeded()
    assert allowed == [1, 2, 4, 8, 16, 32]
    assert breaker.wait(0, 99) == 0


def test_three_wholly_refused_batches_in_a_row_stop_everything_until_one_is_accepted():
    refusal_breaker = RefusalBreaker()
    assert [refusal_breaker.all_refused(0), refusal_breaker.all_refused(0)] == [False, False]
    assert not refusal_breaker.accepted(0)
    assert [refusal_breaker.all_refused(n) for n in (1, 2, 3)] == [False, False, True]
    assert refusal_breaker.wait(3, 0) == 60
    assert refusal_breaker.wait(63, 0) == 0
    refusal_breaker.acquire(63)
    assert refusal_breaker.wait(63, 0) == 60, "one batch a minute"
    assert not refusal_breaker.all_refused(64)
    assert refusal_breaker.accepted(123)
    assert refusal_breaker.wait(123, 8) == 0


def test_more_than_half_of_all_batches_for_a_minute_stop_everything():
    refusal_breaker, stopped_at = RefusalBreaker(), None
    for second in range(200):
        outcomes = [refusal_breaker.all_refused(second), refusal_breaker.all_refused(second)]
        refusal_breaker.accepted(second)
        if any(outcomes):
            stopped_at = second
            break
    assert stopped_at == 60


def test_half_of_all_batches_never_stop_anything():
    refusal_breaker = RefusalBreaker()
    for second in range(200):
        refusal_breaker.accepted(second)
        assert not refusal_breaker.all_refused(second)
    assert not refusal_breaker.is_open


@pytest.mark.parametrize(
    ("detail", "named"), [("type must be 1", True), ("Aggregated data not supported", True), ("bad name", False)]
)
def test_a_refused_type_names_the_setting(detail, named):
    assert ("raw" in fix_for(detail)) is named
