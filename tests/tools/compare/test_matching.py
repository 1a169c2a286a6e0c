"""The names of both sides are matched, and the report says how."""

from __future__ import annotations

import json

import pytest

from relay.cli.compare import make_namers
from relay.config.schema import Config, NamesConfig, RuleConfig
from relay.errors import ExitCode, RelayError
from relay.model import Kind
from relay.tools.compare.flushes import Flushes
from relay.tools.compare.matching import DERIVED, IDLE, RESERVED, Matching, Verdict
from relay.tools.compare.name_mapping import OWN, NameMapping
from relay.tools.compare.namespaces import OldKey, find_namespaces
from relay.tools.compare.report import ROWS_SHOWN, Report, bound, cut, number
from relay.tools.compare.report_builder import build_report
from relay.tools.compare.session import Session
from relay.tools.compare.time_range import TimeRange
from relay.tools.compare.totals import Gauge, Metric, OldTotals, Sum

STATSD = find_namespaces(["stats_counts.statsd.packets_received"])
COUNTER, TIMER, GAUGE, SET = Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET


def counted(**sums: float) -> OldTotals:
    return OldTotals(sums={OldKey(COUNTER, name): Sum(total) for name, total in sums.items()})


def timed(name: str, count: float, total: float) -> OldTotals:
    return OldTotals(sums={OldKey(TIMER, name, "count"): Sum(count), OldKey(TIMER, name, "sum"): Sum(total)})


def total(value: float) -> Metric:
    """The total of a counter at the relay."""
    return Metric(sum=value, count=1, most=value, last=value, lowest=value, highest=value)


def verdicts(old: OldTotals, relay: dict[str, Metric], **settings) -> dict[str, str]:
    rows = Matching(old, relay, **settings).rows()
    return {f"{row.metric} {row.kind} {row.what}": str(row.verdict) for row in rows}


# --- names ------------------------------------------------------------------------------------------------------------


def test_old_names_become_those_of_the_relay():
    config = Config(tags={}, names=NamesConfig(prefix="shop"))
    old = counted(**{"web-x.hits": 1, "web/x.hits;env=prod": 2, "web_x.hits;env=test;live": 4})
    own = {"statsd.parser.lines": 8, "statsd.bad_lines_seen": 8, "statsd.users": 16}
    old.sums |= counted(**own).sums
    old.sums[OldKey(COUNTER, "$")] = Sum(1)
    old.sums[OldKey(TIMER, "web-x.hits", "sum")] = Sum(5)
    old.gauges = {OldKey(GAUGE, "q;k=1"): Gauge(1, 2), OldKey(GAUGE, "q;k=2"): Gauge(3, 3, has_moved=True)}
    old.sets = {OldKey(SET, "u;k=1"): 2, OldKey(SET, "u;k=2"): 3}
    old.sampled = {"web-x.hits"}
    mapping = NameMapping(namers=make_namers(config), namespaces=STATSD, relay={"shop.statsd.users"})
    found = mapping.rename(old)
    metric = "shop.web_x.hits"
    assert {key: one.total for key, one in found.sums.items()} == {
        OldKey(COUNTER, metric): 7,
        OldKey(COUNTER, "shop.statsd.users"): 16,
        OldKey(TIMER, metric, "sum"): 5,
    }
    assert found.gauges == {OldKey(GAUGE, "shop.q"): Gauge(4, 5, has_moved=True)}
    assert (found.sets, found.sampled) == ({OldKey(SET, "shop.u"): 5}, {metric})
    assert mapping.left_out == {OWN: 2, "empty_name": 1}


def test_rules_rename_and_drop_here_as_they_do_in_the_relay():
    rules = [
        RuleConfig(match="web.*.hits", type="counter", metric="web.hits", tags={"service": "$1"}),
        RuleConfig(match="noise.**", action="drop"),
    ]
    mapping = NameMapping(namers=make_namers(Config(tags={}, rule=rules)), namespaces=STATSD, relay={})
    old = counted(**{"web.a.hits": 1, "web.b.hits;env=prod": 2, "noise.x": 4, "noise.y.z": 8})
    old.sums[OldKey(TIMER, "web.a.hits", "count")] = Sum(5)
    assert {key.name: one.total for key, one in mapping.rename(old).sums.items()} == {"web.hits": 3, "web.a.hits": 5}
    assert mapping.left_out == {"dropped by a rule": 2}


def test_the_class_that_the_relay_put_behind_a_name():
    old = counted(x=3)
    old.sums |= timed("x", 2, 9).sums
    relay = {"x": Metric(sum=9, count=2), "x.counter": total(3), "x.p95": total(1)}
    assert set(verdicts(old, relay).values()) == {"equal"}
    relay = {"x": total(3), "x.timer": Metric(sum=9, count=2), "x.timer.p95": total(1)}
    assert set(verdicts(old, relay).values()) == {"equal"}
    named_so = counted(x=3, **{"x.counter": 4})
    assert verdicts(named_so, {"x": total(3), "x.counter": total(4)}) == {
        "x counter sum": "equal",
        "x.counter counter sum": "equal",
    }


def test_what_raw_output_and_rates_look_like():
    raw = {"t.sum": Metric(sum=9), "t.count": Metric(sum=2), "t.avg": Metric(sum=4.5)}
    assert verdicts(timed("t", 2, 9), raw) == {"t timer count": "equal", "t timer sum": "equal"}
    assert verdicts(counted(x=120), {"x": total(2)}, counter_scale=60) == {"x counter sum": "equal"}


def test_what_is_left_out():
    old = counted(idle=0)
    old.sets[OldKey(SET, "nobody")] = 0
    old.sums |= timed("t", 1, 1).sums
    derived = ("p99_9", "upper_90", "lower_top10", "std", "mean_99_5", "count_ps", "histogram.bin_50_5", "sum_squares")
    relay = {"t": Metric(sum=1, count=1), **{f"t.{one}": total(1) for one in derived}}
    relay |= {"mine.lines": total(5), "zero": total(0)}
    matching = Matching(old, relay, reserved="mine")
    assert [row.verdict for row in matching.rows()] == [Verdict.EQUAL] * 2
    assert matching.left_out == {IDLE: 3, DERIVED: len(derived), RESERVED: 1}


def test_a_name_below_a_timer_is_not_taken_for_one_of_its_figures():
    [row, *_] = Matching(timed("t", 1, 1), {"t": Metric(sum=1, count=1), "t.hits": total(1)}).rows()
    assert (row.metric, row.verdict) == ("t.hits", Verdict.DIFFERS)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_what_only_one_side_has():
    rows = Matching(counted(a=1), {"b": total(1)}).rows()
    assert [(row.metric, row.verdict, row.difference) for row in rows] == [
        ("b", Verdict.DIFFERS, 1),
        ("a", Verdict.DIFFERS, -1),
    ]
    assert [row.why.partition(" received no line of it")[0] for row in rows] == ["the old daemon", "the relay"]


@pytest.mark.parametrize(
    ("gauge", "relay", "verdict"),
    [
        (Gauge(5, 5), Metric(last=5, lowest=1, highest=9), Verdict.EQUAL),
        (Gauge(5, 8), Metric(last=7, lowest=7, highest=7), Verdict.WITHIN),
        (Gauge(5, 5), Metric(last=9, lowest=1, highest=9), Verdict.WITHIN),
        (Gauge(5, 5), Metric(last=7, lowest=6, highest=9), Verdict.DIFFERS),
        (Gauge(5, 8), Metric(last=4, lowest=4, highest=4), Verdict.DIFFERS),
        (Gauge(5, 5, has_moved=True), None, Verdict.DIFFERS),
        (Gauge(5, 5), None, Verdict.INCOMPARABLE),
    ],
)
def test_a_gauge_is_what_it_was_last(gauge, relay, verdict):
    [row] = Matching(OldTotals(gauges={OldKey(GAUGE, "q"): gauge}), {"q": relay} if relay else {}).rows()
    assert row.verdict is verdict


def test_what_cannot_be_compared_says_why():
    old = timed("t", 4, 10)
    old.sampled = {"t"}
    old.sets[OldKey(SET, "u")] = 7
    rows = Matching(old, {"t": Metric(sum=20, count=4), "u": Metric(sum=18, most=9)}).rows()
    assert [(row.what, row.old, row.relay, row.verdict) for row in rows] == [
        ("most", 7, 9, Verdict.INCOMPARABLE),
        ("sum", 10, 20, Verdict.INCOMPARABLE),
        ("count", 4, 4, Verdict.EQUAL),
    ]
    assert all(row.why for row in rows[:2])


def test_a_counter_that_is_a_timer_here():
    [row] = Matching(counted(h=2), {"h": Metric(sum=30, count=2, lowest=10, highest=20)}).rows()
    assert "|h or |d" in row.why


# --- what is printed --------------------------------------------------------------------------------------------------


def report(old: OldTotals, relay: dict[str, Metric], **changes) -> Report:
    settings = {
        "span": TimeRange(1_764_000_000, 1_764_000_120),
        "windows": 2,
        "flushes": 12,
        "near": 4,
        "interval": 10.0,
        "rows": Matching(old, relay).rows(),
        "left_out": {OWN: 4},
        "notes": ["well"],
        **changes,
    }
    return Report(**settings)


def test_a_report_for_people():
    old = counted(hits=3, lost=2)
    old.sums[OldKey(COUNTER, "busy")] = Sum(100, -5, 3)
    found = report(old, {"hits": total(3), "lost": total(2.5), "busy": total(98)})
    *lines, summary = found.lines(everything=False)
    assert lines == [
        "name               old  relay  difference   bound  verdict",
        "lost  counter sum    2    2.5        +0.5       0  differs",
        "busy  counter sum  100     98          -2  -5..+3  within the edges",
        "hits  counter sum    3      3           0       0  equal",
        "",
        "old daemon: 12 flushes, one every 10 s; at the edges 4; relay: 2 windows",
        "left out: 4 names of the old daemon itself",
        "note: well",
    ]
    edges = "1 equal, 1 within what the 4 flushes at the edges hold, 1 differs"
    assert summary == f"3 totals compared over 120 s (16:00:00 to 16:02:00 UTC): {edges}"
    assert not found.is_fine
    assert json.loads(json.dumps(found.as_json()))["rows"][0]["difference"] == 0.5


def test_a_long_report_is_cut_and_a_reason_is_said_once():
    many = {f"m{number}": total(1) for number in range(ROWS_SHOWN + 7)}
    found = report(OldTotals(), many)
    lines = list(found.lines(everything=False))
    assert sum("received no line of it" in line for line in lines) == 1
    assert "... and 7 more: 7 differs (--all shows them)" in lines
    assert not any("--all" in line for line in found.lines(everything=True))


def test_nothing_to_compare_is_not_fine():
    found = report(OldTotals(), {})
    assert not found.is_fine
    assert found.summary().startswith("nothing to compare over 120 s")
    assert report(counted(a=1), {"a": total(1)}).is_fine


def test_numbers_and_names():
    assert [number(value) for value in (None, 0, 3.0, -2.5, 1e15, 0.1 + 0.2)] == [
        *("-", "0", "3", "-2.5", "1000000000000000", "0.3"),
    ]
    assert [number(value, sign=True) for value in (1, -1, 0, -1e-12)] == ["+1", "-1", "0", "0"]
    assert [bound(0, 0), bound(-1, 0), bound(-1, 2.5)] == ["0", "-1..0", "-1..+2.5"]
    assert (cut("a" * 60), len(cut("a" * 100)), cut("a" * 50 + "b" * 50)[-1]) == ("a" * 60, 60, "b")


# --- the end of a session ---------------------------------------------------------------------------------------------


def test_one_side_had_nothing():
    flushes = Flushes(find_namespaces)
    session = Session(seconds=60, open_id=1_764_000_000, duration=60, flushes=flushes)

    def error() -> str:
        with pytest.raises(RelayError) as caught:
            build_report(session, flushes, namers={}, reserved="", counter_scale=1)
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        return str(caught.value)

    assert "no flush came from the old daemon" in error()
    flushes.touched, flushes.names = 1.0, {"x\x1b.y": None}
    assert r"'x\x1b.y'" in error()
    flushes.namespaces = find_namespaces(["stats.gauges.x"])
    assert "sent 0 of 1 windows" in error()
    session.closed, session.span = 1, TimeRange(0, 60)
    assert "no flush in the span" in error()


def test_a_conclusion_notes_what_a_reader_should_know():
    flushes = Flushes(find_namespaces)
    session = Session(seconds=60, open_id=1_764_000_000, duration=60, flushes=flushes)
    flushes.namespaces = find_namespaces(["stats.gauges.x"])
    session.closed, session.span, flushes.counted, flushes.touched = 1, TimeRange(0, 60), 6, 1.0
    flushes.late = flushes.missing = flushes.left_out = flushes.unreadable = 2
    flushes.clock.skew = 30.0
    flushes.totals = counted(hits=3)
    session.metrics = {"hits": total(3)}
    found = build_report(
        session, flushes, namers=make_namers(Config(tags={})), reserved="statsd_relay", counter_scale=1
    )
    assert [row.verdict for row in found.rows] == [Verdict.EQUAL]
    assert len(found.notes) == 6
    assert "flush_counts" in found.notes[-1]
    flushes.totals.sums[OldKey(COUNTER, "hits")].high, session.metrics["hits"].sum = 2.0, 4.0
    found = build_report(
        session, flushes, namers=make_namers(Config(tags={})), reserved="statsd_relay", counter_scale=1
    )
    assert "--for" in found.notes[-1]
