"""Flushes and windows of the same samples: the edges explain the differences, and nothing else."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Kind
from relay.tools.compare.flushes import Flushes
from relay.tools.compare.graphite import Measure
from relay.tools.compare.matching import Verdict, judge
from relay.tools.compare.namespaces import Namespaces, OldKey, find_namespaces, under
from relay.tools.compare.session import Phase, Session
from relay.tools.compare.time_range import FlushClock, TimeRange
from relay.tools.compare.totals import Metric, OldTotals, fold_window

START = 1_764_000_000
HITS, TIME, LEVEL, USERS = (
    OldKey(Kind.COUNTER, "hits"),
    OldKey(Kind.TIMER, "time", "sum"),
    OldKey(Kind.GAUGE, "level"),
    OldKey(Kind.SET, "users"),
)
NEW = Namespaces(spaces=under("stats"), counter_end=".count")


def receive(flushes: Flushes, moment: float, values: dict[str, float], *, delay: float = 0.01) -> None:
    """Receive a flush of that moment; statsd rounds its time."""
    for name, value in {"stats.gauges.statsd.lag": 0.0, **values}.items():
        flushes.receive(Measure(name, value, math.floor(moment + 0.5)), moment + delay)


def known(span: TimeRange) -> Flushes:
    flushes = Flushes(find_namespaces)
    flushes.namespaces, flushes.span = NEW, span
    return flushes


@given(
    st.lists(st.tuples(st.floats(-30, 150), st.integers(-3, 10)), max_size=40),
    st.sampled_from([0.5, 1.0, 3.0, 10.0]),
    st.floats(0, 1),
    st.floats(-0.005, 0.02),
)
def test_edges_explain_every_difference_of_the_same_samples(samples, interval, phase, later):
    """Samples of a sign each: what a flush holds bounds what came on either side of an edge. The relay sees them
    `later` than the old daemon."""
    span = TimeRange(START, START + 120)
    flushes, sent = known(span), [(START + at, abs(value)) for at, value in samples]
    relay = sum(value for at, value in sent if span.start <= at + later < span.end)
    moment = before = START - 40 + phase * interval
    while moment < START + 170:
        held = sum(value for at, value in sent if before <= at < moment)
        receive(flushes, moment, {"stats.counters.hits.count": held})
        before, moment = moment, moment + interval
    flushes.finish()
    assert flushes.is_past(span.end, moment)
    total = flushes.totals.sums[HITS]
    assert judge(total.total, relay, total.low, total.high) is not Verdict.DIFFERS
    far = interval + 2.3
    if all(abs(at - edge) > far for at, _ in sent for edge in span):
        assert (total.total, total.low, total.high) == (relay, 0, 0)


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans(), st.booleans()), max_size=20))
def test_bounds_have_the_sign_of_what_may_be_elsewhere(flushes):
    totals = OldTotals()
    for value, counts, is_near in flushes:
        totals.fold({HITS: value}, counts=counts, is_near=is_near)
    total = totals.sums.get(HITS)
    if total is None:
        assert not any(counts or is_near for _, counts, is_near in flushes)
        return
    assert total.total == sum(value for value, counts, _ in flushes if counts)
    assert total.low <= 0 <= total.high
    everything = sum(abs(value) for value, _, is_near in flushes if is_near)
    assert total.high - total.low == everything


def test_without_edges_nothing_is_explained():
    assert judge(100, 100, 0, 0) is Verdict.EQUAL
    assert judge(0.1 + 0.2, 0.3, 0, 0) is Verdict.EQUAL
    assert judge(100, 101, 0, 0) is Verdict.DIFFERS
    assert judge(100, None, 0, 0) is Verdict.DIFFERS
    assert judge(100, 101, 0, 1) is Verdict.WITHIN
    assert judge(100, 101, -5, 0) is Verdict.DIFFERS
    assert judge(100, 94, -5, 0) is Verdict.DIFFERS


def test_a_flush_covers_what_came_since_the_one_before():
    clock = FlushClock()
    first = clock.date(START, START + 0.1)
    assert (first.since, first.until, first.missing) == (-math.inf, START + 0.1, 0)
    second = clock.date(START + 10, START + 9.7)
    assert (second.since, second.until) == (START - 0.5, START + 9.7)
    assert clock.date(START + 20, START + 27).until == START + 21
    assert clock.date(START + 50, START + 50).missing == 2
    assert (clock.interval, clock.skew) == (10, 0)
    assert not clock.is_past(START + 50)
    assert clock.is_past(START + 50, START + 51)


@pytest.mark.parametrize("skew", [-7200, -30, 30])
def test_a_clock_that_goes_wrong_is_seen(skew):
    clock = FlushClock()
    clock.date(START - skew, START)
    assert clock.skew == skew
    assert clock.date(START - skew + 10, START + 10).time == START + 10


def test_an_edge_is_near_what_may_lie_across_it():
    span, clock = TimeRange(START, START + 60), FlushClock()
    placed = []
    for at in range(-20, 90, 10):
        covered = clock.date(START + at + 5, START + at + 5)
        placed.append((at + 5, span.counts(covered.time), span.is_near_edge(covered)))
    assert [at for at, counts, _ in placed if counts] == [5, 15, 25, 35, 45, 55]
    assert [at for at, _, near in placed if near] == [5, 65]


def test_gauges_sets_and_rates():
    totals = OldTotals()
    count, mean = TIME._replace(statistic="count"), TIME._replace(statistic="mean")
    totals.fold({LEVEL: 9, USERS: 9}, counts=False, is_near=True)
    for level, users, counts in ((5, 3, True), (5, 4, True), (8, 9, False)):
        totals.fold({LEVEL: level, USERS: users}, counts=counts, is_near=not counts)
    gauge = totals.gauges[LEVEL]
    assert (gauge.last, gauge.following, gauge.has_moved, totals.sets[USERS]) == (5, 8, False, 4)
    totals.fold({LEVEL: 6}, counts=True, is_near=False)
    assert totals.gauges[LEVEL].has_moved
    totals.fold({count: 3, TIME: 10, mean: 10 / 3}, counts=True, is_near=False)
    assert totals.sampled == set()
    totals.fold({count: 6, TIME: 10, mean: 10 / 3}, counts=True, is_near=False)
    assert totals.sampled == {"time"}


def test_windows_add_up_over_dimensions():
    def point(metric: str, **values: float) -> dict:
        return {"metric": metric, "dimensions": {}, "values": values}

    metrics: dict[str, Metric] = {}
    window = [point("a", sum=5, count=2, min=1, max=4, last=4), point("a", sum=1, count=1, min=1, max=1, last=1)]
    fold_window(metrics, [*window, point("raw", value=3)])
    fold_window(metrics, [point("a", sum=2, count=1, min=2, max=2, last=2)])
    a, raw = metrics["a"], metrics["raw"]
    assert (a.sum, a.count, a.most, a.last, a.lowest, a.highest) == (8, 4, 6, 2, 2, 2)
    assert (raw.sum, raw.count, raw.last) == (3, 0, 3)


# --- flushes ----------------------------------------------------------------------------------------------------------


def test_a_flush_is_all_lines_of_a_time():
    flushes = known(TimeRange(START, START + 60))
    receive(flushes, START - 5, {"stats.counters.hits.count": 100})
    receive(flushes, START + 5, {"stats.counters.hits.count": 1, "stats.gauges.level": 3, "stats.sets.users": 2})
    receive(flushes, START + 5.2, {"stats.counters.hits.count": 2, "stats.gauges.level": 4, "stats.sets.users": 1})
    flushes.receive(Measure("stats.statsd.graphiteStats.flush_time", 1.0, START + 6), START + 5)
    receive(flushes, START + 15, {"stats.counters.hits.count": 4, "nothing.of.ours": 1})
    receive(flushes, START + 5, {"stats.counters.hits.count": 50})
    flushes.finish()
    flushes.finish()
    assert flushes.totals.sums[HITS].total == 7
    assert (flushes.totals.gauges[LEVEL].last, flushes.totals.sets[USERS]) == (4, 2)
    assert (flushes.counted, flushes.near, flushes.late, flushes.missing) == (2, 1, 2, 0)
    receive(flushes, START + 45, {})
    flushes.finish()
    assert (flushes.counted, flushes.missing) == (3, 2)


def test_two_flushes_of_a_time_have_no_mean():
    flushes = known(TimeRange(START, START + 60))
    for moment in (START + 5, START + 5.3):
        statistics = {"count": 2.0, "sum": 6.0, "mean": 3.0}
        receive(flushes, moment, {f"stats.timers.time.{statistic}": value for statistic, value in statistics.items()})
    flushes.finish()
    assert (flushes.totals.sums[TIME].total, flushes.totals.sampled) == (12, set())


def test_names_are_bounded(monkeypatch):
    monkeypatch.setattr("relay.tools.compare.flushes.NAMES_MOST", 3)
    flushes = known(TimeRange(START, START + 60))
    receive(flushes, START + 5, {f"stats.gauges.g{number}": 1.0 for number in range(10)})
    flushes.finish()
    assert (len(flushes.names), len(flushes.totals.gauges), flushes.left_out) == (3, 3, 8)


# --- a session in its own time ----------------------------------------------------------------------------------------


def session(**changes) -> tuple[Session, Flushes]:
    flushes = Flushes(find_namespaces)
    settings = {"seconds": 60, "open_id": START, "duration": 90, **changes}
    return Session(flushes=flushes, **settings), flushes


def test_a_session_waits_for_a_flush_an_edge_and_both_sides():
    one, flushes = session()
    phases, relay = [], defaultdict(list)
    for at in range(10, 260):
        now = START + at
        if at % 10 == 7 and at > 20:
            receive(flushes, now - 0.5, {"stats.counters.hits.count": 1})
        if at % 60 == 1:
            relay[at].append(now - 61)
            one.add_window(now - 61, [{"metric": "hits", "values": {"sum": 6}}])
        phase = one.update(now)
        if not phases or phases[-1][1] is not phase:
            phases.append((at, phase))
        assert one.sentence(now)
    assert phases == [
        (10, Phase.NO_FLUSH),
        (28, Phase.BEFORE),
        (60, Phase.WITHIN),
        (180, Phase.AFTER),
        (188, Phase.DONE),
    ]
    assert (one.span, one.closed, flushes.counted) == (TimeRange(START + 60, START + 180), 2, 12)
    assert (one.metrics["hits"].sum, flushes.totals.sums[HITS].total) == (12, 12)


def test_a_session_gives_up():
    silent, _ = session()
    assert silent.update(START + 179) is Phase.NO_FLUSH
    assert silent.update(START + 180) is Phase.FAILED

    strange, flushes = session()
    flushes.receive(Measure("cpu.load", 1.0, START + 5), START + 5)
    assert strange.update(START + 5.1) is Phase.NO_FLUSH
    assert strange.update(START + 6) is Phase.UNREADABLE
    assert strange.update(START + 180) is Phase.FAILED

    deaf, flushes = session()
    receive(flushes, START + 5, {})
    assert deaf.update(START + 6) is Phase.BEFORE
    assert deaf.update(START + 190) is Phase.AFTER
    assert deaf.update(START + 196) is Phase.FAILED


def test_a_daemon_that_stops_flushing_is_not_waited_for_for_ever():
    one, flushes = session(duration=1)
    for at in (5, 15, 65, 75):
        receive(flushes, START + at, {})
        one.update(START + at + 1)
    one.add_window(START + 60, [])
    assert one.update(START + 144) is Phase.AFTER
    assert one.update(START + 146) is Phase.DONE
