"""Pending identities: every sample is counted, and the result is the same as if the name had always been known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.schema import RuleConfig
from relay.model import Kind, NoSeries
from relay.naming.ruleset import Ruleset
from tests.naming.test_namer import make as make_namer
from tests.support.hotpath import NOW, START, answer, close, imbalance, make, name_all

if TYPE_CHECKING:
    from relay.naming import Namer

# --- a line of several types, of which naming refuses one -------------------------------------------------------------


def name_by(namer: Namer, hotpath) -> None:
    while identities := hotpath.unresolved(100):
        hotpath.resolve([(identity, namer.resolve(identity)) for identity in identities])


def refuse_timers(reason: str, *, rejects: bool, hotpath) -> None:
    for identity in hotpath.unresolved(100):
        is_refused = identity.kind is Kind.TIMER
        hotpath.resolve([(identity, NoSeries(reason, rejects=rejects) if is_refused else answer(identity))])


@pytest.mark.parametrize("line", [b"x:1|c:2:3|ms", b"x:2:3|ms:1|c"])
@pytest.mark.parametrize(("reason", "rejects"), [("reserved_name", True), ("empty_name", True), ("rule", False)])
def test_a_refused_type_of_a_line_that_was_accepted_is_dropped(line, reason, rejects):
    hotpath = make()
    hotpath.feed(line, NOW)
    refuse_timers(reason, rejects=rejects, hotpath=hotpath)
    tally = hotpath.tally()
    assert (tally.received, tally.accepted, tally.rejected) == (1, 1, {})
    assert (tally.samples_accepted, tally.samples_open, tally.samples_dropped) == (3, 1, {reason: 2})


@pytest.mark.parametrize("line", [b"x:1|c:2:3|ms", b"x:2:3|ms:1|c"])
def test_a_refused_type_that_is_known_rejects_the_line(line):
    hotpath = make()
    hotpath.feed(b"x:1|ms", NOW)
    refuse_timers("reserved_name", rejects=True, hotpath=hotpath)
    hotpath.feed(line, NOW)
    name_all(hotpath)
    tally = hotpath.tally()
    assert (tally.accepted, tally.rejected) == (0, {"reserved_name": 2})
    assert (tally.samples_accepted, tally.samples_dropped) == (0, {})


def test_a_line_with_a_known_type_and_a_refused_one_is_accepted():
    """The samples of the known type are in the window already."""
    hotpath = make()
    hotpath.feed(b"x:1|c", NOW)
    name_all(hotpath)
    hotpath.feed(b"x:2|ms:3|c\nx:1|c:2|ms", NOW)
    refuse_timers("reserved_name", rejects=True, hotpath=hotpath)
    tally = hotpath.tally()
    assert (tally.accepted, tally.samples_open, tally.samples_dropped) == (3, 3, {"reserved_name": 2})


globs = st.sampled_from(["a", "b", "*", "a.*", "**"])
effects = st.sampled_from(
    [
        *({"action": "drop"}, {"metric": "statsd_relay.own"}, {"metric": "!"}, {"metric": "meets"}, {"metric": "$1"}),
        *({"drop_tags": ["*"]}, {"rename_tags": {"t": "u"}}, {"namespace": "other"}, {"tags": {"t": "1"}}),
    ]
)
rules = st.builds(
    lambda match, type_, effect: RuleConfig(match=match, type=type_, **effect),
    globs.filter(lambda glob: "*" in glob),
    st.sampled_from(["", "counter", "timer", "gauge", "set"]),
    effects,
)
sections = st.sampled_from(
    [b"", b"", b"|#t:1", b"|#t:2,v:\xff", b"|T1764000001", b"|T1764000030", b"|T5", b"|T1764000090", b"|T1764009999"]
)
numbers = st.sampled_from([b"1", b"5", b"+2", b"-3"])


def group_of(size: int) -> st.SearchStrategy[bytes]:
    types = [b"c", b"g", b"g", b"ms", *[b"s"] * (size == 1)]
    packed = st.lists(numbers, min_size=size, max_size=size).map(b":".join)
    return st.builds(lambda packed, type_: packed + b"|" + type_, packed, st.sampled_from(types))


sizes = st.sampled_from([(3,), (1, 2), (2, 1), (1, 1, 1)])
threes = st.builds(
    lambda name, groups, section: b"%b:%b%b" % (name, b":".join(groups), section),
    st.sampled_from([b"a", b"b", b"a.x", b"a.y", b"statsd_relay.z", b"!", b"c;t=1"]),
    sizes.flatmap(lambda sizes: st.tuples(*map(group_of, sizes))),
    sections,
)
"""Lines of three samples each."""


@given(
    st.lists(st.tuples(st.lists(threes, max_size=4), st.integers(0, 3)), max_size=10),
    st.lists(rules, max_size=4),
    st.sampled_from([{}, {"series_limit": 3}, {"series_limit": 10, "series_per_metric": 1}]),
    st.booleans(),
)
def test_every_sample_of_an_accepted_line_is_accounted_for(steps, rules, limits, strict):
    """Each line has three samples: all are counted, with any answer of naming at any time."""
    namer, hotpath, closed = make_namer(rules=Ruleset(rules, re2=None), strict=strict), make(**limits), 0
    for number, (lines, then) in enumerate(steps):
        hotpath.feed(b"\n".join(lines), NOW + number)
        assert imbalance(hotpath, closed) == 0
        if then > 0:
            name_by(namer, hotpath)
        if then > 1:
            hotpath.close_window(START + 60 * (number + 1), renames=then == 2)
            assert hotpath.settled()
            closed += hotpath.closed_window().samples
        assert imbalance(hotpath, closed) == 0
    name_by(namer, hotpath)
    tally = hotpath.tally()
    assert imbalance(hotpath, closed) == 0
    assert tally.received == sum(len(lines) for lines, _ in steps)
    assert tally.samples_accepted == 3 * tally.accepted


# --- known or not: the same result ------------------------------------------------------------------------------------


def fed(lines, *, named: bool, **limits):
    """Feed lines, a second apart, and name them after each or after all of them."""
    hotpath = make(**limits)
    for number, line in enumerate(lines):
        hotpath.feed(line, NOW + number)
        if named:
            name_all(hotpath)
    name_all(hotpath)
    assert imbalance(hotpath) == 0
    return hotpath


packed = st.lists(st.sampled_from([b"1", b"5", b"+2", b"-3", b"8"]), min_size=1, max_size=3).map(b":".join)
types = st.sampled_from([b"g", b"g", b"g|#t:1", b"g:3|g", b"g:+1|g", b"ms|@0.5", b"c", b"c|#t:1"])
times = st.sampled_from([b"", b"", b"", b"|T1763999999", b"|T1764000002", b"|T1764000005", b"|T1764000050", b"|T1"])
lines = st.builds(
    lambda name, values, time: b"%b:%b%b" % (name, values, time),
    st.sampled_from([b"a", b"b", b"reserved.c", b"dropped.d"]),
    st.builds(lambda values, type_: b"%b|%b" % (values, type_), packed, types) | st.sampled_from([b"u|s", b"v|s"]),
    times,
)
"""Lines with a single identity; each identity has its own series."""


@given(st.lists(lines, max_size=12), st.sampled_from([1, 2, 100]))
def test_a_line_means_the_same_before_its_name_is_known(lines, series_per_metric):
    """Gauges with deltas and times, sets, timers; kept, rejected, dropped, and over a limit.

    Which of two series gets the last slot does depend on when their names are known, if the first sample is too old.
    """
    lines = [line for line in lines if series_per_metric == 100 or not line.endswith(b"|T1")]
    each, end = (fed(lines, named=named, series_per_metric=series_per_metric) for named in (True, False))
    assert each.tally() == end.tally()
    rows, others = close(each), close(end)
    assert rows.keys() == others.keys()
    for key, row in rows.items():
        assert summary(row) == pytest.approx(summary(others[key]), rel=1e-12), key


def summary(row) -> tuple[float, ...]:
    quantiles = [row.quantiles.quantile(q) for q in (0.0, 0.5, 1.0)] if row.quantiles else []
    return row.samples, row.count, row.sum, row.min, row.max, row.last, *quantiles


@pytest.mark.parametrize("named", [True, False])
def test_a_value_without_a_time_follows_one_of_the_future(named):
    hotpath = make()
    hotpath.feed(b"g:5|g|#a,b|T%d" % (NOW + 30), NOW)
    name_all(hotpath)
    hotpath.feed(b"g:7|g|#b,a", NOW + 1)
    if named:
        name_all(hotpath)
    hotpath.feed(b"other:1|c", NOW + 40)
    name_all(hotpath)
    assert close(hotpath)["g", Kind.GAUGE, "a,b"].last == 7


@pytest.mark.parametrize("named", [True, False])
def test_a_value_that_waited_does_not_follow_one_received_later(named):
    hotpath = make()
    hotpath.feed(b"g:5|g|#a,b", NOW)
    name_all(hotpath)
    hotpath.feed(b"g:7|g|#b,a", NOW + 1)
    if named:
        name_all(hotpath)
    hotpath.feed(b"g:6|g|#a,b", NOW + 2)
    name_all(hotpath)
    assert close(hotpath)["g", Kind.GAUGE, "a,b"].last == 6


@pytest.mark.parametrize("named", [True, False])
def test_a_value_without_a_time_follows_one_of_the_future_over_a_restart(named):
    before, hotpath = make(), make()
    before.feed(b"g:5|g|#a,b|T%d" % (NOW + 30), NOW)
    name_all(before)
    for _, frame in before.export():
        hotpath.merge(frame)
    hotpath.feed(b"g:7|g|#b,a", NOW + 1)
    if named:
        name_all(hotpath)
    name_all(hotpath)
    assert close(hotpath)["g", Kind.GAUGE, "a,b"].last == 7


# --- over a limit -----------------------------------------------------------------------------------------------------


def full(**changes):
    """Return a hot path with one series for each metric, and no room for more."""
    hotpath = make(series_per_metric=1, **changes)
    hotpath.feed(b"g:5|g|#n:0", NOW)
    name_all(hotpath)
    return hotpath


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("line", [b"g:+1|g", b"g:+1:5|g", b"g:5:+1|g", b"g:+1|g:5|g", b"g:5|g:+1|g", b"g:+1|g|T5"])
def test_a_line_with_a_delta_over_the_limit_is_rejected_as_a_whole(line, named):
    hotpath = full()
    for number, sent in enumerate((b"g:3|g", line, b"g:4|g", line)):
        hotpath.feed(sent, NOW + number)
        if named:
            name_all(hotpath)
    name_all(hotpath)
    tally = hotpath.tally()
    assert (tally.accepted, tally.rejected, tally.samples_dropped) == (3, {"series_limit": 2}, {})
    assert imbalance(hotpath) == 0
    row = close(hotpath)["g", Kind.GAUGE, "true"]
    assert (row.samples, row.sum, row.last) == (2, 7, 4)


@pytest.mark.parametrize("named", [True, False])
def test_an_overflow_series_takes_values_of_any_time(named):
    """The values are of many gauges, so none of them is older than the series."""
    hotpath = full()
    for number, line in enumerate((b"g:3|g", b"g:4|g|T%d" % (START - 9), b"g:+1|g|T%d" % (START - 9))):
        hotpath.feed(line, NOW + number)
        if named:
            name_all(hotpath)
    name_all(hotpath)
    tally = hotpath.tally()
    assert (tally.rejected, tally.samples_dropped, tally.samples_late) == ({"series_limit": 1}, {}, 1)
    assert close(hotpath)["g", Kind.GAUGE, "true"].samples == 2


def test_a_delta_over_the_limit_of_a_line_that_was_accepted_is_dropped():
    hotpath = full()
    hotpath.feed(b"g:+1:5|g:1|c", NOW)
    hotpath.feed(b"g:6|g:1|c", NOW)
    name_all(hotpath)
    tally = hotpath.tally()
    assert (tally.accepted, tally.rejected, tally.samples_dropped) == (3, {}, {"series_limit": 2})
    assert (tally.samples_accepted, tally.samples_open) == (6, 4)
