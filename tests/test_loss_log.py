"""What is warned of, how often, and with which example."""

from __future__ import annotations

import dataclasses

from structlog.testing import capture_logs

from relay.hotpath.explain import explain
from relay.ledger import Ledger
from relay.loss_log import CounterDeltas, LossLog, log_window_losses
from relay.model import Peer, RejectedLine
from tests.test_ledger import TALLY


def test_a_loss_is_logged_once_in_ten_seconds_and_the_rest_counted(clock):
    log = LossLog(clock)
    with capture_logs() as lines:
        for _ in range(5):
            log.warn("points refused", code="RLY402", subject="http_400")
        log.warn("points refused", subject="partial")
        clock.advance(10)
        log.warn("points refused", code="RLY402", subject="http_400")
    assert [(line.get("code"), line.get("suppressed")) for line in lines] == [
        ("RLY402", None),
        (None, None),
        ("RLY402", 4),
    ]


def test_new_losses_of_a_window_are_logged_with_an_example(clock):
    deltas, log, ledger = CounterDeltas(), LossLog(clock), Ledger()
    bad = RejectedLine(line=b"a:x|c", reason="bad_value", peer=Peer("10.0.0.7", 5), time=1.0)
    tally = TALLY
    with capture_logs() as lines:
        log_window_losses(deltas, log, tally=tally, ledger=ledger, rejects=[bad], explain=explain)
        clock.advance(60)
        log_window_losses(deltas, log, tally=tally, ledger=ledger, rejects=[bad], explain=explain)
        ledger.tags_dropped = 2
        more = dataclasses.replace(tally, rejected={"bad_value": 8})
        log_window_losses(deltas, log, tally=more, ledger=ledger, rejects=[], explain=explain)
    assert [(line["code"], line["event"], line.get("lines")) for line in lines] == [
        ("RLY301", "lines rejected", 3),
        ("RLY305", "samples dropped", None),
        ("RLY301", "lines rejected", 5),
        ("RLY303", "tags dropped", None),
    ]
    assert (lines[0]["line"], lines[0]["sender"], lines[0]["reason"]) == (b"a:x|c", "10.0.0.7:5", "bad_value")
    assert (lines[0]["at"], lines[0]["why"]) == (2, "not a number, too large for one, or longer than 64 bytes")


def test_what_was_asked_for_is_no_warning(clock):
    tally = dataclasses.replace(TALLY, rejected={}, samples_dropped={"rule": 5, "forgotten": 2, "late_gauge": 1})
    with capture_logs() as lines:
        log_window_losses(CounterDeltas(), LossLog(clock), tally=tally, ledger=Ledger(), rejects=[], explain=explain)
    assert [line["reason"] for line in lines] == ["late_gauge"]


def test_what_is_sent_otherwise_than_it_came_is_logged_with_an_example(clock):
    deltas, log, ledger = CounterDeltas(), LossLog(clock), Ledger()
    tally = dataclasses.replace(TALLY, rejected={}, samples_dropped={})
    with capture_logs() as lines:
        for _ in range(4):
            ledger.names_rewritten += 1
            ledger.tags_dropped += 2
            ledger.values_clamped += 5
            ledger.examples |= {"rewritten": {"metric": "a"}, "unsent": {"metric": "b"}, "clamped": {"metric": "c"}}
            log_window_losses(deltas, log, tally=tally, ledger=ledger, rejects=[], explain=explain)
            clock.advance(30)
    assert [
        (line["code"], line.get("identities") or line.get("tags") or line["values"], line["metric"])
        for line in lines[:3]
    ] == [
        ("RLY302", 1, "a"),
        ("RLY303", 2, "b"),
        ("RLY304", 5, "c"),
    ]
    clamped = [line["values"] for line in lines if line["code"] == "RLY304"]
    assert clamped == [5, 10], "once a minute, with all since the line before"
    assert set(ledger.examples) == {"clamped"}, "the example of the next warning"


def test_a_key_may_be_muted_for_longer_and_says_so(clock):
    log = LossLog(clock)
    with capture_logs() as lines:
        log.warn("copies lost", subject="a", every=60.0)
        clock.advance(59)
        assert (log.is_muted("copies lost", subject="a"), log.is_muted("copies lost", subject="b")) == (True, False)
        clock.advance(1)
        assert not log.is_muted("copies lost", subject="a")
        log.warn("copies lost", subject="a", every=60.0)
    assert [line.get("suppressed") for line in lines] == [None, None], "a caller that asks first suppresses nothing"


def _count(line: dict) -> int:
    return next(line[unit] for unit in ("identities", "tags", "values") if unit in line)
