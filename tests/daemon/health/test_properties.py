"""What holds for the judge's answer whatever the facts are."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from relay.admin.answers.finding import LEVELS
from relay.cli.explain.codes import pages
from relay.daemon.health.facts import Counts, Facts
from relay.daemon.health.judge import TABLE, Answer, judge
from relay.errors import CODES
from tests.support.facts import FACTS, NOON

LOSSES = ("rejected", "kernel_drops", "samples_dropped", "points_dropped", "points_refused", "letters_dropped")


def test_every_code_of_a_finding_has_a_meaning_and_a_page():
    assert set(TABLE) <= set(CODES) & set(pages())


@given(FACTS, FACTS)
def test_findings_are_complete_and_in_a_total_order(first: Facts, second: Facts):
    answer = judge(second, judge(first, Answer()))
    keys = [(-LEVELS.index(one.level), list(TABLE).index(one.code), one.subject) for one in answer.findings]
    assert keys == sorted(set(keys))
    assert answer.level == (answer.findings[0].level if answer.findings else "ok")
    for one in answer.findings:
        assert one.level in TABLE[one.code]
        assert one.sentence
        assert one.fix
        assert one.next


@given(FACTS)
def test_a_judgement_repeated_is_the_same(facts: Facts):
    once = judge(facts, Answer())
    assert judge(facts, once) == once


@given(FACTS, st.sampled_from(LOSSES), st.sampled_from(("stop_without_state", "bad_value", "udp://127.0.0.1:8125")))
def test_one_more_loss_never_improves_the_level(facts: Facts, loss: str, reason: str):
    before = getattr(facts.open, loss)
    more = before + 1 if isinstance(before, int) else {**before, reason: before.get(reason, 0) + 1}
    lines = facts.open.lines + (loss == "rejected")
    worse = replace(facts, open=replace(facts.open, **{loss: more, "lines": lines}))
    ranks = [LEVELS.index(judge(each, Answer()).level) for each in (facts, worse)]
    assert ranks[0] <= ranks[1]


@given(FACTS, st.integers(0, 3))
def test_a_finding_ends_once_its_condition_was_false_for_a_whole_window(facts: Facts, windows: int):
    """And not before."""
    seen = judge(facts, Answer())
    at = facts.now + windows * facts.seconds
    well = Facts(now=at, started=at - 1, seconds=facts.seconds)
    begins = -(-facts.now // facts.seconds) * facts.seconds
    left = judge(well, seen).findings
    assert bool(left) == (bool(seen.findings) and at < begins + facts.seconds)
    assert all("not seen since" in one.sentence for one in left if at > facts.now)


@given(FACTS)
def test_a_finding_keeps_the_time_at_which_it_began(facts: Facts):
    first = judge(facts, Answer())
    later = judge(replace(facts, now=facts.now + 0.25), first)
    begun = {(one.code, one.subject): one.since for one in first.findings}
    for one in later.findings:
        assert one.since <= begun.get((one.code, one.subject), one.since)


def test_a_relay_that_is_well_has_no_finding():
    assert judge(Facts(now=NOON, started=NOON - 600), Answer()) == Answer()


def test_counts_subtract_field_by_field():
    now = Counts(lines=10, rejected={"bad_value": 3, "no_value": 1}, throttled=2)
    before = Counts(lines=4, rejected={"no_value": 1})
    assert now - before == Counts(lines=6, rejected={"bad_value": 3}, throttled=2)
    assert all(isinstance(getattr(now - now, one.name), int | dict) for one in fields(Counts))
