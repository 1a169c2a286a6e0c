"""The three equations, and the loss log's silence."""

from __future__ import annotations

import dataclasses

import pytest
from structlog.testing import capture_logs

from relay.hotpath.explain import explain
from relay.ledger import Durations, Growth, Ledger, LossLog, balance, tell_of_window
from relay.model import Peer, RejectedLine, Tally

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


def test_a_window_tells_what_is_new_with_an_example(clock):
    growth, log, ledger = Growth(), LossLog(clock), Ledger()
    bad = RejectedLine(line=b"a:x|c", reason="bad_value", peer=Peer("10.0.0.7", 5), time=1.0)
    tally = TALLY
    with capture_logs() as lines:
        tell_of_window(growth, log, tally, ledger, [bad], explain)
        clock.advance(60)
        tell_of_window(growth, log, tally, ledger, [bad], explain)
        ledger.tags_dropped = 2
        tell_of_window(growth, log, dataclasses.replace(tally, rejected={"bad_value": 8}), ledger, [], explain)
    assert [(line["event"], line["count"]) for line in lines] == [
        ("RLY301 lines rejected", 3),
        ("samples dropped", 1),
        ("RLY301 lines rejected", 5),
        ("RLY303 tags dropped", 2),
    ]
    assert (lines[0]["line"], lines[0]["sender"], lines[0]["reason"]) == (b"a:x|c", "10.0.0.7:5", "bad_value")
    assert (lines[0]["at"], lines[0]["why"]) == (2, "not a number, too large for one, or longer than 64 bytes")


def test_what_somebody_asked_for_is_no_warning(clock):
    tally = dataclasses.replace(TALLY, rejected={}, samples_dropped={"rule": 5, "forgotten": 2, "late_gauge": 1})
    with capture_logs() as lines:
        tell_of_window(Growth(), LossLog(clock), tally, Ledger(), [], explain)
    assert [line["reason"] for line in lines] == ["late_gauge"]


def test_durations_are_a_cumulative_histogram():
    durations = Durations()
    for seconds in (0.001, 0.03, 0.03, 100.0):
        durations.observe(seconds)
    buckets = dict(durations.buckets())
    assert (buckets["0.01"], buckets["0.05"], buckets["10.0"], buckets["+Inf"]) == (1, 3, 3, 4)
    assert durations.sum == pytest.approx(100.061)


def test_what_is_sent_otherwise_than_it_came_is_told_with_an_example(clock):
    growth, log, ledger = Growth(), LossLog(clock), Ledger()
    tally = dataclasses.replace(TALLY, rejected={}, samples_dropped={})
    with capture_logs() as lines:
        for _ in range(4):
            ledger.names_rewritten += 1
            ledger.tags_dropped += 2
            ledger.values_clamped += 5
            ledger.examples |= {"rewritten": {"metric": "a"}, "unsent": {"metric": "b"}, "clamped": {"metric": "c"}}
            tell_of_window(growth, log, tally, ledger, [], explain)
            clock.advance(30)
    assert [(line["event"][:6], line["count"], line["metric"]) for line in lines[:3]] == [
        ("RLY302", 1, "a"),
        ("RLY303", 2, "b"),
        ("RLY304", 5, "c"),
    ]
    assert sum("RLY304" in line["event"] for line in lines) == 2, "once a minute"
    assert ledger.examples == {}
