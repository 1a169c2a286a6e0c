"""The three equations."""

from __future__ import annotations

import dataclasses

import pytest

from relay.ledger import Durations, Ledger, balance
from relay.model import Tally

TALLY = Tally(
    datagrams=1,
    truncated_datagrams=0,
    received=10,
    accepted=6,
    events=1,
    rejected={"bad_value": 3},
    samples_accepted=8,
    samples_open=5,
    samples_dropped={"late_gauge": 1},
    samples_late=0,
    samples_overflow=0,
    sections_ignored=0,
    tags_unread=0,
    samples_unnamed=0,
    series=1,
    aliases=1,
)


def balanced_ledger():
    ledger = Ledger()
    ledger.samples_closed, ledger.samples_dropped["name_collision"] = 1, 1
    ledger.points_created, ledger.points_recovered, ledger.points_delivered = 10, 5, 9
    ledger.points_dropped["too_old"] = 1
    return ledger


def test_balanced_books_have_no_imbalance():
    assert balance(TALLY, balanced_ledger(), spooled=3, in_flight=2).imbalance() == 0


@pytest.mark.parametrize("field", ["received", "accepted", "events", "samples_accepted", "samples_open"])
def test_every_figure_of_the_tally_counts(field):
    tally = dataclasses.replace(TALLY, **{field: getattr(TALLY, field) + 1})
    assert balance(tally, balanced_ledger(), spooled=3, in_flight=2).imbalance() == 1


@pytest.mark.parametrize(("spooled", "in_flight"), [(4, 2), (3, 1)])
def test_every_stock_counts(spooled, in_flight):
    assert balance(TALLY, balanced_ledger(), spooled=spooled, in_flight=in_flight).imbalance() == 1


def test_durations_are_a_cumulative_histogram():
    durations = Durations()
    for seconds in (0.001, 0.03, 0.03, 100.0):
        durations.observe(seconds)
    buckets = dict(durations.buckets())
    assert (buckets["0.01"], buckets["0.05"], buckets["10.0"], buckets["+Inf"]) == (1, 3, 3, 4)
    assert durations.sum == pytest.approx(100.061)
