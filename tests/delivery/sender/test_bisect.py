"""Trials against clouds that refuse what holds a bad point, and do not say which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.sender.bisect import PATIENCE, PATIENCE_STOPPED, BatchBisection
from relay.model import Delivered, Refusal, Refused


def run(
    trial: BatchBisection, bad: set[int], *, at_most: int | None = None, limit: int = 1000
) -> tuple[int, list[int]]:
    """Send parts until it is finished or fruitless; return the requests and what was accepted."""
    requests, accepted = 0, []
    while not trial.finished and not (trial.fruitless and not trial.insisting):
        part = list(trial.part())
        requests += 1
        assert part, "a request has points"
        assert requests < limit
        if at_most and len(part) > at_most:
            trial.answer(Refused(detail="too large", too_large=True))
        elif bad & set(part):
            trial.answer(Refused(detail="bad", status=400))
        else:
            accepted += part
            trial.answer(Delivered())
    return requests, accepted


@pytest.mark.parametrize("bad", range(50))
def test_one_bad_point_of_fifty_costs_twelve_requests_at_most(bad):
    trial = BatchBisection(50)
    requests, accepted = run(trial, {bad})
    assert requests <= 9
    assert [conviction.index for conviction in trial.convicted] == [bad]
    assert sorted(accepted) == [n for n in range(50) if n != bad]


@given(st.integers(1, 50).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1)))))
def test_every_point_is_accepted_once_or_convicted_and_only_the_bad_ones_are(case):
    size, bad = case
    trial = BatchBisection(size)
    trial.insist()
    _, accepted = run(trial, bad)
    assert sorted(accepted) == [n for n in range(size) if n not in bad]
    assert sorted(conviction.index for conviction in trial.convicted) == sorted(bad)
    assert trial.accepted == len(accepted)


@given(st.integers(1, 50), st.integers(1, 50), st.sets(st.integers(0, 49), max_size=3))
def test_what_is_too_large_is_halved(size, at_most, bad):
    trial = BatchBisection(size)
    trial.insist()
    _, accepted = run(trial, bad, at_most=at_most)
    assert sorted(accepted) == [n for n in range(size) if n not in bad]
    assert not any(conviction.too_large for conviction in trial.convicted)


def test_a_single_point_that_is_too_large_is_convicted_as_that():
    trial = BatchBisection(1)
    trial.answer(Refused(detail="too large", too_large=True))
    [conviction] = trial.convicted
    assert (conviction.too_large, trial.finished) == (True, True)


@pytest.mark.parametrize("patience", [PATIENCE, PATIENCE_STOPPED])
def test_a_batch_of_which_nothing_is_accepted_is_fruitless_and_can_go_on_later(patience):
    trial = BatchBisection(50, patience=patience)
    requests, accepted = run(trial, set(range(50)))
    assert (requests, accepted, trial.fruitless) == (patience, [], True)
    trial.insist()
    run(trial, set(range(50)))
    assert len(trial.convicted) == 50


@pytest.mark.parametrize("bad", range(50))
def test_a_try_during_a_stop_tells_one_bad_point_from_a_bad_cloud(bad):
    trial = BatchBisection(50, patience=PATIENCE_STOPPED)
    run(trial, {bad})
    assert trial.accepted == 49


def test_a_refusal_that_passes_convicts_nobody():
    trial = BatchBisection(50)
    trial.answer(Refused(detail="a moment please"))
    run(trial, set())
    assert (trial.accepted, trial.convicted) == (50, [])


def test_listed_points_of_a_part_are_the_right_ones():
    trial = BatchBisection(4)
    trial.answer(Refused(detail="bad"))
    assert list(trial.part()) == [0, 1]
    trial.answer(Delivered())
    assert list(trial.part()) == [2]
    trial.answer(Delivered(refusals=(Refusal(index=0, detail="listed"),)))
    trial.answer(Delivered())
    assert [(c.index, c.detail, c.listed) for c in trial.convicted] == [(2, "listed", True)]
    assert (trial.accepted, trial.finished) == (3, True)
