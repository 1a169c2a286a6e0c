"""More new identities than naming can answer: the queue is bounded, totals are exact, and a flood leaves no trace."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import limits
from relay.hotpath.python.identities import bare_name, naming_work
from relay.model import Identity, Kind, NoSeries
from tests.support.hotpath import NOW, START, close, imbalance, make, name_all

MUCH = {"series_limit": 50_000, "series_per_metric": 50_000, "memory": 512 << 20}


def work_of(hotpath) -> int:
    return sum(naming_work(identity.name, identity.tags) for identity in hotpath.unresolved(1_000_000))


sizes = st.tuples(st.integers(1, 9_000), st.integers(0, 9_000), st.sampled_from([b"x", b"\xff", b","]))


@given(st.lists(sizes, min_size=1, max_size=5))
@settings(max_examples=15)
def test_the_queue_for_names_takes_no_more_work_than_its_bound(sizes):
    hotpath = make(**MUCH)
    for number in range(600):
        name, tags, byte = sizes[number % len(sizes)]
        hotpath.feed(b"n%d%b:1|c|#%b" % (number, byte.replace(b",", b"x") * name, byte * tags), NOW)
    largest = naming_work(b"x" * limits.NAME_READ, b"\xff" * limits.SECTION_READ)
    assert work_of(hotpath) <= limits.NAMING_WORK * 1.1 + largest
    name_all(hotpath)
    assert imbalance(hotpath) == 0
    assert sum(rollup.samples for rollup in close(hotpath).values()) == 600


def test_the_work_that_was_done_makes_room_again():
    hotpath, stood_in = make(**MUCH), []
    for wave in range(3):
        for number in range(3_000):
            hotpath.feed(b"w%d.n%d:1|c|#%b" % (wave, number, b"k:v," * 1_300), NOW)
        stood_in.append(sum(identity.tags == limits.STAND_IN for identity in hotpath.unresolved(9_999)))
        name_all(hotpath)
    assert 1_000 < stood_in[0] < 2_000
    assert stood_in == [stood_in[0]] * 3
    assert hotpath.tally().samples_unnamed == 0


@pytest.mark.parametrize("known", [b"web.req:1|c", b"web.req:1|c|#user:0", b"web.req;user=0:1|c", b""])
@pytest.mark.parametrize("line", [b"web.req:1|c|#user:%d", b"web.req;user=%d:1|c", b"web.req;a=b;user=%d:1|c|#c:d"])
def test_a_metric_that_is_known_keeps_its_total_at_any_pace(known, line):
    hotpath = make()
    if known:
        hotpath.feed(known, NOW)
        name_all(hotpath)
        for number in range(1_200):  # a known identity needs no room during a flood
            hotpath.feed(b"other%d:1|ms" % number, NOW)
    for number in range(1, 3_001):
        hotpath.feed(line % number, NOW)
    name_all(hotpath)
    rows = close(hotpath)
    total = sum(rollup.sum for (metric, kind, _), rollup in rows.items() if metric.startswith("web.req"))
    assert total == 3_000 + bool(known)
    assert ("overflow.counter", Kind.COUNTER, "") not in rows
    assert imbalance(hotpath, closed=hotpath.tally().samples_accepted) == 0


def test_a_known_metric_keeps_its_total_although_naming_drops_one_of_its_identities_twice():
    hotpath = make()
    hotpath.feed(b"web.req:1|c|#user:0", NOW)
    name_all(hotpath)
    dropped = Identity(b"web.req", Kind.COUNTER, b"user:1"), NoSeries("rule", rejects=False)
    hotpath.resolve([dropped, dropped])
    for number in range(1_200):
        hotpath.feed(b"other%d:1|ms" % number, NOW)
    for number in range(2, 1_002):
        hotpath.feed(b"web.req:1|c|#user:%d" % number, NOW)
    name_all(hotpath)
    rows = close(hotpath)
    assert sum(rollup.sum for (metric, *_), rollup in rows.items() if metric == "web.req") == 1_001
    assert ("overflow.counter", Kind.COUNTER, "") not in rows


@given(st.text(";,=ab", max_size=12).map(str.encode), st.sampled_from([b"", b";", b";,"]))
def test_a_name_ends_at_the_first_separator_before_a_pair(name, separators):
    parts = re.split(b"[%b]" % re.escape(separators), name) if separators else [name]
    expected = parts[0] if len(parts) > 1 and b"=" in parts[1] else name
    assert bare_name(name, separators) == expected


def test_what_was_never_named_is_in_the_series_of_its_class_and_counted():
    hotpath = make(series_limit=50)
    for number in range(500):
        hotpath.feed(b"n%d:1|c" % number, NOW)
    assert hotpath.tally().samples_unnamed == 500 - 50 - 5
    name_all(hotpath)
    rows = close(hotpath)
    assert rows["overflow.counter", Kind.COUNTER, ""].sum == hotpath.tally().samples_unnamed


def test_a_name_that_is_refused_or_dropped_is_so_however_many_come():
    hotpath = make(series_limit=50)
    for number in range(200):
        hotpath.feed(b"reserved.x:1|c|#n:%d\ndropped.y:1|c|#n:%d" % (number, number), NOW)
    name_all(hotpath)
    assert hotpath.tally().rejected == {"reserved_name": 200}
    assert hotpath.tally().samples_dropped == {"rule": 200}
    assert close(hotpath) == {}


def test_deltas_of_a_gauge_without_room_are_rejected_and_its_values_are_not():
    """Twenty identities find no room in the queue, and three pending ones get no series."""
    hotpath = make(series_limit=10)
    hotpath.feed(b"g:5|g|#n:0", NOW)
    name_all(hotpath)
    for number in range(1, 31):
        hotpath.feed(b"g:7|g|#n:%d\ng:+1|g|#n:%d" % (number, number), NOW)
    name_all(hotpath)
    assert hotpath.tally().rejected["series_limit"] == 23
    assert imbalance(hotpath) == 0
    assert close(hotpath)["g", Kind.GAUGE, "true"].samples > 20


@pytest.mark.parametrize("tags", [b"", b"|#k:v"])
def test_a_flood_of_names_leaves_nothing_behind(tags):
    """Ten identities are queued again once, in the next window only."""
    hotpath = make(**{**MUCH, "memory": 4 << 20})
    for first in (0, 20_000):
        for number in range(first, first + 20_000, 4_000):
            hotpath.feed(b"\n".join(b"n%d:1|c%b" % (n, tags) for n in range(number, number + 4_000)), NOW)
        name_all(hotpath)
    for window in range(1, 7):
        close(hotpath, START + 60 * window)
        asked = 0
        for _ in range(3):
            hotpath.feed(b"\n".join(b"ten%d:1|c|#a:b" % number for number in range(10)), NOW)
            asked += len(hotpath.unresolved(100))
            name_all(hotpath)
        assert asked == (10 if window == 1 else 0)


def test_the_senders_of_new_identities_are_known_by_their_work():
    hotpath = make(series_limit=100)
    for number in range(40):
        hotpath.feed(b"few%d:1|c" % number, NOW, (f"10.0.0.{number}", number))
    for number in range(300):
        hotpath.feed(b"many.n%d:1|c|#user:%d" % (number, number), NOW, ("192.0.2.7", 1000 + number))
    hotpath.feed(b"unix:1|c", NOW)
    found = hotpath.top_senders()
    assert len(found) == limits.TOP_SENDERS
    assert (found[0].peer.host, found[0].name, found[0].tags) == ("192.0.2.7", b"many.n299", b"user:299")
    assert found[0].identities >= 300
    assert hotpath.top_senders() == []
    name_all(hotpath)
    hotpath.feed(b"few0:1|c", NOW, ("10.0.0.1", 1))
    assert hotpath.top_senders() == []
    hotpath.feed(b"long%b:1|c|#%b" % (b"x" * 500, b"y" * 500), NOW)
    [unknown] = hotpath.top_senders()
    assert (unknown.peer, len(unknown.name), len(unknown.tags)) == (None, 120, 120)
