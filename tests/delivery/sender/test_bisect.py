"""Bisections against clouds that refuse a request with a bad point without naming it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.sender.bisect import MAX_ATTEMPTS, MAX_ATTEMPTS_OPEN, BatchBisection
from relay.model import Delivered, Refusal, Refused


def run(
    bisection: BatchBisection, bad: set[int], *, at_most: int | None = None, limit: int = 1000
) -> tuple[int, list[int]]:
    """Send parts until it is finished or wholly refused; return the requests and what was accepted."""
    requests, accepted = 0, []
    while not bisection.finished and not (bisection.all_refused and not bisection.forced):
        part = list(bisection.part())
        requests += 1
        assert part, "a request has points"
        assert requests < limit
        if at_most and len(part) > at_most:
            bisection.answer(Refused(detail="too large", too_large=True))
        elif bad & set(part):
            bisection.answer(Refused(detail="bad", status=400))
        else:
            accepted += part
            bisection.answer(Delivered())
    return requests, accepted


@pytest.mark.parametrize("bad", range(50))
def test_one_bad_point_of_fifty_costs_twelve_requests_at_most(bad):
    bisection = BatchBisection(50)
    requests, accepted = run(bisection, {bad})
    assert requests <= 9
    assert [point.index for point in bisection.refused] == [bad]
    assert sorted(accepted) == [n for n in range(50) if n != bad]


@given(st.integers(1, 50).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1)))))
def test_every_point_is_accepted_once_or_refused_and_only_the_bad_ones_are(case):
    size, bad = case
    bisection = BatchBisection(size)
    bisection.force()
    _, accepted = run(bisection, bad)
    assert sorted(accepted) == [n for n in range(size) if n not in bad]
    assert sorted(point.index for point in bisection.refused) == sorted(bad)
    assert bisection.accepted == len(accepted)


@given(st.integers(1, 50), st.integers(1, 50), st.sets(st.integers(0, 49), max_size=3))
def test_a_request_that_is_too_large_is_halved(size, at_most, bad):
    bisection = BatchBisection(size)
    bisection.force()
    _, accepted = run(bisection, bad, at_most=at_most)
    assert sorted(accepted) == [n for n in range(size) if n not in bad]
    assert not any(point.too_large for point in bisection.refused)


def test_a_single_point_that_is_too_large_is_refused_as_that():
    bisection = BatchBisection(1)
    bisection.answer(Refused(detail="too large", too_large=True))
    [point] = bisection.refused
    assert (point.too_large, bisection.finished) == (True, True)


@pytest.mark.parametrize("max_attempts", [MAX_ATTEMPTS, MAX_ATTEMPTS_OPEN])
def test_a_batch_of_which_nothing_is_accepted_is_wholly_refused_and_can_go_on_later(max_attempts):
    bisection = BatchBisection(50, max_attempts=max_attempts)
    requests, accepted = run(bisection, set(range(50)))
    assert (requests, accepted, bisection.all_refused) == (max_attempts, [], True)
    bisection.force()
    run(bisection, set(range(50)))
    assert len(bisection.refused) == 50


@pytest.mark.parametrize("bad", range(50))
def test_a_probe_tells_one_bad_point_from_a_bad_cloud(bad):
    bisection = BatchBisection(50, max_attempts=MAX_ATTEMPTS_OPEN)
    run(bisection, {bad})
    assert bisection.accepted == 49


def test_a_passing_refusal_refuses_no_point():
    bisection = BatchBisection(50)
    bisection.answer(Refused(detail="a moment please"))
    run(bisection, set())
    assert (bisection.accepted, bisection.refused) == (50, [])


def test_listed_points_of_a_part_are_the_right_ones():
    bisection = BatchBisection(4)
    bisection.answer(Refused(detail="bad"))
    assert list(bisection.part()) == [0, 1]
    bisection.answer(Delivered())
    assert list(bisection.part()) == [2]
    bisection.answer(Delivered(refusals=(Refusal(index=0, detail="listed"),)))
    bisection.answer(Delivered())
    assert [(point.index, point.detail) for point in bisection.refused] == [(2, "listed")]
    assert (bisection.accepted, bisection.finished) == (3, True)
