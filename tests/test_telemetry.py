"""The three equations, and the loss log's silence."""

from __future__ import annotations

import dataclasses

import pytest
from structlog.testing import capture_logs

from relay.model import Tally
from relay.telemetry import Ledger, LossLog, balance

TALLY = Tally(
    datagrams=1,
    truncated_datagrams=0,
    received=10,
    accepted=6,
    events=1,
    rejected={"bad_value": 3},
    samples_accepted=8,
    samples_open=5,
    samples_dropped={"rule": 1},
    samples_late=0,
    samples_overflow=0,
    sections_ignored=0,
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


def test_the_loss_log_speaks_once_in_ten_seconds_and_counts_the_rest(clock):
    log = LossLog(clock)
    with capture_logs() as lines:
        for _ in range(5):
            log.warn("points refused", reason="http_400")
        log.warn("points refused", reason="partial")
        clock.advance(10)
        log.warn("points refused", reason="http_400")
    assert [(line["reason"], line.get("suppressed")) for line in lines] == [
        ("http_400", None),
        ("partial", None),
        ("http_400", 4),
    ]
