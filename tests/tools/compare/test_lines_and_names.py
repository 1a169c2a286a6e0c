"""Lines of Graphite from any writer, and the names of old daemons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Kind
from relay.tools.compare.graphite import Measure, parse
from relay.tools.compare.namespaces import OldKey, find_namespaces, under

NOW = 1_764_000_000


@given(
    st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=50).filter(lambda text: text.split()),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(1_600_000_000, 4_000_000_000),
)
def test_a_line_is_read_as_it_was_written(name, value, time):
    line = f"{name} {value!r} {time}".encode()
    assert parse(line) == parse(line + b"\r") == Measure(name, value, time)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_measure_or_nothing(line):
    found = parse(line)
    assert found is None or (found.name and abs(found.value) < float("inf") and found.time > 1_577_000_000)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"a", b"a 1", b"a 1 2 3", b"a x 1764000000", b"a nan 1764000000", b"a inf 1764000000"),
        *(b"a 1e400 1764000000", b"a 1 now", b"a 1 -5", b"a 1 0", b"a 1 99999999999", b"a 1 nan", b"a 1 inf"),
    ],
)
def test_what_is_none_of_graphites_lines(line):
    assert parse(line) is None


OWN = "statsd.packets_received"
COUNTER, TIMER, GAUGE, SET = Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET

SCHEMES = {
    "legacy": (
        [f"stats.{OWN}", f"stats_counts.{OWN}", "statsd.numStats"],
        {
            "stats_counts.web.hits": OldKey(COUNTER, "web.hits"),
            "stats.web.hits": None,
            "stats.timers.web.time.sum": OldKey(TIMER, "web.time", "sum"),
            "stats.timers.web.time.upper_90": None,
            "stats.timers.web.time.histogram.bin_inf": None,
            "stats.gauges.level": OldKey(GAUGE, "level"),
            "stats.sets.users.count": OldKey(SET, "users"),
            "stats_counts.hits;env=prod;k=v": OldKey(COUNTER, "hits;env=prod;k=v"),
            "stats.timers.t.count;env=prod": OldKey(TIMER, "t;env=prod", "count"),
            "stats_counts.": None,
            "elsewhere.hits": None,
        },
    ),
    "legacy with a suffix": (
        [f"stats_counts.{OWN}.web1.eu"],
        {
            "stats_counts.web.hits.web1.eu": OldKey(COUNTER, "web.hits"),
            "stats.timers.t.count.web1.eu": OldKey(TIMER, "t", "count"),
            "stats_counts.web.hits": None,
        },
    ),
    "new": (
        [f"stats.counters.{OWN}.rate", f"stats.counters.{OWN}.count"],
        {
            "stats.counters.web.hits.count": OldKey(COUNTER, "web.hits"),
            "stats.counters.web.hits.rate": None,
            "stats.timers.t.mean": OldKey(TIMER, "t", "mean"),
            "stats.gauges.level": OldKey(GAUGE, "level"),
            "stats.sets.users.count": OldKey(SET, "users"),
        },
    ),
    "new, renamed, with a suffix": (
        ["my.c.me.packets_received.count.h1", "my.g.me.timestamp_lag.h1"],
        {
            "my.c.web.hits.count.h1": OldKey(COUNTER, "web.hits"),
            "my.g.level.h1": OldKey(GAUGE, "level"),
            "my.timers.t.count.h1": OldKey(TIMER, "t", "count"),
        },
    ),
    "gostatsd": (
        ["stats.timers.t.count;host=h", "stats.counters.hits.count"],
        {"stats.counters.hits.count": OldKey(COUNTER, "hits"), "stats.sets.users": OldKey(SET, "users")},
    ),
    "without a prefix": (["gauges.level"], {"counters.hits.count": OldKey(COUNTER, "hits")}),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_how_a_daemon_names_its_values_is_seen(scheme):
    names, values = SCHEMES[scheme]
    found = find_namespaces(names)
    assert {name: found.read(name) for name in values} == values


def test_its_own_names_are_known():
    assert find_namespaces(["stats_counts.me.packets_received"]).own == "me"
    assert find_namespaces(["stats.counters.me.packets_received.count"]).own == "me"
    found = find_namespaces([f"stats_counts.{OWN}"])
    assert found.is_own("statsd.bad_lines_seen", is_known=True)
    assert found.is_own("statsd.anything", is_known=False)
    assert not found.is_own("statsd.anything", is_known=True)
    assert not found.is_own("statsdx.bad_lines_seen", is_known=False)


def test_a_person_is_believed():
    assert find_namespaces(["x.y.hits"]) is None
    said = find_namespaces(["x.y.hits.count"], given={COUNTER: "x.y"})
    assert said.read("x.y.hits.count") == OldKey(COUNTER, "hits")
    assert find_namespaces(["x.y.hits"], given={COUNTER: "x.y"}).read("x.y.hits") == OldKey(COUNTER, "hits")
    prefixed = find_namespaces(["a.counters.hits.count.z"], given=under("a"), suffix="z")
    assert prefixed.read("a.counters.hits.count.z") == OldKey(COUNTER, "hits")
    assert prefixed.read("a.gauges.q.z") == OldKey(GAUGE, "q")
    both = find_namespaces([f"stats_counts.{OWN}"], given={TIMER: "t"})
    assert (both.read("t.x.sum"), both.read("stats_counts.a")) == (OldKey(TIMER, "x", "sum"), OldKey(COUNTER, "a"))


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=30))
def test_whatever_names_come(names, name):
    found = find_namespaces(names)
    if found:
        key = found.read(name)
        assert key is None or key.name
