"""Native == python (I3): both get the same bytes, split, ordered and merged in any way."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.hotpath import partial
from relay.hotpath.line import is_event
from relay.model import Kind
from tests.support.hotpath import NOW, START, close, exported, imbalance, make, name_all


@pytest.fixture(scope="module")
def on_both() -> None:
    """Override the fixture: every test here makes both hot paths."""


VECTORS = [
    json.loads(line)["line"].encode("latin-1")
    for line in (Path(__file__).parents[1] / "vectors/lines.jsonl").read_text().splitlines()
]

numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda n: b"%d" % n),
    st.floats(-1e12, 1e12).map(lambda x: repr(x).encode()),
    st.from_regex(rb"[+-]?(?:[0-9]{1,22}\.?[0-9]{0,8}|\.[0-9]{1,8})(?:[eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from([b"1", b"0", b"-0", b"1e-10", b"-1e-9", b"1e-9", b"1:2:3", b"1e300", b"", b"nan", b"0x1"]),
)
sections = st.sampled_from(
    [
        *(b"", b"|@0.5", b"|@0.1|#a:b", b"|#a:b|@0.25", b"|#", b"|#a:b,c:d|c:id", b"|#x|#y", b"|#a|#b|#c", b"|@0"),
        *(b"|@-1", b"|@x", b"|T1764000001", b"|T1", b"|Tx", b"|zz", b"|", b"||", b"|c:x|e:y|card:low", b"\r", b"|#a\r"),
        *(b"|T1763999999", b"|T1764000000", b"|T1764000004", b"|T1764000030", b"|T1764000060|#a", b"|T1764009999"),
    ]
)
names = st.sampled_from([b"a", b"b.c", b"long." * 9 + b"name", b"reserved.x", b"dropped.x", b"\xff|odd", b"_e", b"_x"])
types = st.sampled_from([b"c", b"g", b"ms", b"h", b"d", b"s", b"c|c", b"q", b"", b"ms:3|c"])
blanks = st.text(" \t\r", max_size=3).map(str.encode)
groups = st.builds(lambda v, t, s: v + b"|" + t + s, numbers, types, sections)
deltas = st.sampled_from([b"+1|g", b"-2:+3|g", b"4|g", b"+1:5|g", b"+1|g|#t:1", b"1|c", b"6|g|T1763999990"])
several = st.lists(groups | deltas, min_size=2, max_size=4).map(b":".join)
grammar = st.builds(lambda n, g, b: n + b":" + g + b, names, groups | groups | several | deltas, blanks)


def event(title: bytes, text: bytes, change: int, rest: bytes) -> bytes:
    """Return an event; its announced lengths may be wrong."""
    announced = max(0, len(title) + change % 3 - 1), len(text) + change // 3
    return b"_e{%d,%d}:%b|%b%b" % (*announced, title, text, rest)


texts = st.sampled_from([b"", b"t", b"a|b", b"a:1|c", b"text  ", "北京".encode()])
rests = st.sampled_from([b"", b"|#a:b", b"|", b"x", b":1|c", b" ", b" |d:1"])
events = st.builds(event, texts, texts, st.sampled_from([1, 1, 1, 0, 2, 4, 7]), rests)
checks = st.builds(
    lambda name, status, rest: b"_sc|" + name + status + rest,
    texts,
    st.sampled_from([b"", b"|", b"|0", b"|3", b"|4", b"|OK", b"|1 ", b"|00"]),
    rests,
)
eventful = st.builds(bytes.__add__, events | checks, blanks)


def mutate(line: bytes, at: int, what: bytes, kind: int) -> bytes:
    at %= len(line) + 1
    return line[:at] + what * (kind < 2) + line[at + (kind > 0) :]


mutated = st.builds(
    mutate,
    grammar | eventful | st.sampled_from(VECTORS),
    st.integers(0, 300),
    st.sampled_from([b":", b"|", b"\n", b"@", b"#", b"\r", b"+", b".", b"\0", b"9" * 70]),
    st.integers(0, 2),
)
lines = st.one_of(grammar, grammar, eventful, mutated, st.sampled_from(VECTORS), st.binary(max_size=80))
datagrams = st.lists(st.lists(lines, max_size=8).map(b"\n".join), max_size=8)


def same_number(one: float, other: float, scale: float) -> bool:
    """Compare rollups; sums may differ by rounding, and where they saturate."""
    return abs(one - other) <= 1e-12 * scale or scale > 1e307


def assert_same_rows(rows, others, *, ordered=True) -> None:
    assert rows.keys() == others.keys()
    for key, one in rows.items():
        other = others[key]
        assert (one.samples, one.min, one.max) == (other.samples, other.min, other.max), key
        if ordered:
            assert one.last == other.last, key
        scale = max(abs(one.min), abs(one.max)) * max(one.count, 1)
        assert same_number(one.sum, other.sum, scale), (key, one.sum, other.sum)
        assert one.count == pytest.approx(other.count, rel=1e-12)
        for q in (0.0, 0.5, 0.95, 1.0) if one.quantiles else ():
            assert one.quantiles.quantile(q) == pytest.approx(other.quantiles.quantile(q), rel=1e-12), (key, q)


def both(**changes):
    return make("native", **changes), make("python", **changes)


@given(datagrams, st.integers(1, 3), st.booleans(), st.sampled_from([12, 1000]))
def test_the_same_bytes_mean_the_same(datagrams, named_every, gauge_deltas, series_limit):
    pair = native, python = both(series_per_metric=3, gauge_deltas=gauge_deltas, series_limit=series_limit)
    for number, datagram in enumerate(datagrams):
        for hotpath in pair:
            hotpath.feed(datagram, NOW + number, ("10.0.0.1", 5))
            assert imbalance(hotpath) == 0
            if number % named_every == 0:
                name_all(hotpath)
            assert imbalance(hotpath) == 0
            assert_no_count_wrapped(hotpath.tally())
        assert native.unresolved(100) == python.unresolved(100)
    for hotpath in pair:
        name_all(hotpath)
    assert native.tally() == python.tally()
    assert native.rejects() == python.rejects()
    assert_same_rows(close(native), close(python))


minutes = st.tuples(st.lists(grammar | several.map(b"g:%b".__mod__), max_size=6).map(b"\n".join), st.integers(0, 2))


@given(st.lists(minutes, min_size=1, max_size=6), st.booleans())
def test_windows_with_times_and_deltas_are_alike(minutes, gauge_deltas):
    """Identities are resolved before the next datagram, before the edge or while the window closes."""
    pair = both(gauge_deltas=gauge_deltas, series_limit=40)
    closed = 0
    for number, (datagram, named) in enumerate(minutes):
        now = NOW + 7 * number
        for hotpath in pair:
            hotpath.feed(datagram, now)
            if named:
                name_all(hotpath)
            hotpath.feed(datagram, now + 1)
            if named > 1:
                name_all(hotpath)
        rows = [close(hotpath, START + 60 * (number + 1)) for hotpath in pair]
        assert_same_rows(*rows)
        closed += sum(rollup.samples for rollup in rows[0].values())
        for hotpath in pair:
            assert imbalance(hotpath, closed) == 0
            assert_no_count_wrapped(hotpath.tally())
        native, python = (dataclasses.replace(hotpath.tally(), aliases=0) for hotpath in pair)
        assert native == python
        assert [dict(part) for part in pair[0].gauges()] == [dict(part) for part in pair[1].gauges()]


def assert_no_count_wrapped(tally) -> None:
    counts = [value for value in dataclasses.astuple(tally) if isinstance(value, int)]
    assert all(0 <= count < 10**6 for count in [*counts, *tally.rejected.values(), *tally.samples_dropped.values()])


@given(st.lists(lines.filter(lambda line: b"\n" not in line), max_size=8), st.data())
def test_blanks_at_a_lines_end_change_nothing(lines, data):
    """Except within the announced length of an event."""
    fed = []
    for name in ("native", "native", "python", "python"):
        hotpath = make(name)
        for line in lines * 2:
            bare = line.rstrip(b" \t\r")
            is_event = bare.startswith((b"_e{", b"_sc|"))
            hotpath.feed(line if is_event else bare + (data.draw(blanks) if len(fed) % 2 else b""), NOW)
            name_all(hotpath)
        fed.append(hotpath)
    tallies = [hotpath.tally() for hotpath in fed]
    assert all(tally == tallies[0] for tally in tallies)
    assert all(hotpath.rejects() == fed[0].rejects() for hotpath in fed)
    rows = close(fed[0])
    for hotpath in fed[1:]:
        assert_same_rows(rows, close(hotpath))


@given(events, blanks)
def test_blanks_behind_an_event_change_nothing(line, more):
    """Once its text is complete; blanks within its length belong to the text."""
    if is_event(line):
        assert is_event(line + more)
    for name in ("native", "python"):
        hotpath = make(name)
        hotpath.feed(line + more, NOW)
        tally = hotpath.tally()
        whole = is_event(line + more)
        assert (tally.events, tally.rejected) == ((1, {}) if whole else (0, {"bad_event": 1}))


@given(datagrams, st.randoms())
def test_cuts_and_orders_change_nothing_but_what_was_last(datagrams, rng):
    """Without gauges: the result of deltas depends on their order."""
    whole = [line for datagram in datagrams for line in datagram.split(b"\n") if b"|g" not in line]
    native, python = make("native"), make("python")
    for hotpath in (native, python):
        hotpath.feed(b"\n".join(whole), NOW)
        name_all(hotpath)
    cut = make("native")
    rng.shuffle(whole)
    for line in whole:
        cut.feed(line, NOW)
    name_all(cut)
    assert cut.tally().rejected == native.tally().rejected == python.tally().rejected
    rows = close(native)
    assert_same_rows(rows, close(cut), ordered=False)
    assert_same_rows(rows, close(python))


@given(st.lists(grammar, max_size=60), st.integers(1, 4))
def test_a_window_merged_from_parts_is_the_whole(whole, parts):
    """Each implementation reads the partials of both."""
    whole = [line for line in whole if b"|g" not in line]
    expected = make("native")
    expected.feed(b"\n".join(whole), NOW)
    name_all(expected)
    merged = both()
    for number in range(parts):
        for name in ("native", "python"):
            part = make(name)
            part.feed(b"\n".join(whole[number::parts]), NOW)
            name_all(part)
            stored = exported(part)
            for hotpath in merged if name == "native" else ():
                assert hotpath.merge(stored) == 0
    rows = close(expected)
    for hotpath in merged:
        assert imbalance(hotpath) == 0
        assert_same_rows(rows, close(hotpath), ordered=False)


@given(st.from_regex(rb"[+-]?(?:[0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_is_what_python_reads(text):
    hotpath = make("native")
    hotpath.feed(b"t:" + text + b"|ms\n", NOW)
    name_all(hotpath)
    expected = float(text)
    if math.isinf(expected) or len(text) > 64:
        assert hotpath.tally().rejected == {"bad_value": 1}
    else:
        assert math.copysign(1, expected) * abs(close(hotpath)["t", Kind.TIMER, ""].last) == expected


@pytest.mark.parametrize("members", [1, 2047, 2048, 2049, 20_000])
def test_sets_have_the_same_members(members):
    pair = both()
    for hotpath in pair:
        for start in range(0, members, 500):
            lines = [b"s:user-%d-%b|s" % (n, b"x" * (n % 60)) for n in range(start, min(start + 500, members))]
            hotpath.feed(b"\n".join(lines), NOW)
            name_all(hotpath)
    records = [partial.decode_frames(exported(hotpath))[0][0].rollups[0] for hotpath in pair]
    assert set(records[0].hashes or ()) == set(records[1].hashes or ())
    assert records[0].registers == records[1].registers
    assert_same_rows(*(close(hotpath) for hotpath in pair))


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(1e-12, 1e12), min_size=65, max_size=400), st.sampled_from([0.5, 0.99]))
def test_quantiles_are_those_of_ddsketch(values, q):
    oracle = DDSketch(limits.SKETCH_ACCURACY)
    hotpath = make("native")
    for value in values:
        oracle.add(value)
        hotpath.feed(b"t:%b|ms" % repr(value).encode(), NOW)
    name_all(hotpath)
    rollup = close(hotpath)["t", Kind.TIMER, ""]
    rank = max(0, math.ceil(q * len(values)) - 1)
    assert rollup.quantiles.quantile(q) == pytest.approx(sorted(values)[rank], rel=0.01001, abs=1e-9)
    expected = oracle.get_quantile_value(min(1.0, (rank + 1e-6) / (len(values) - 1)))
    assert rollup.quantiles.quantile(q) == pytest.approx(expected, rel=0.0203, abs=1e-9)


def test_far_values_collapse_from_below():
    pair = both()
    values = [1.02**n * 1e-8 for n in range(3000)]
    for hotpath in pair:
        for start in range(0, 3000, 500):
            hotpath.feed(b"\n".join(b"t:%r|ms" % value for value in values[start : start + 500]), NOW)
            name_all(hotpath)
    assert_same_rows(*(close(hotpath) for hotpath in pair))


def test_at_the_bound_of_memory_sketches_stay_small():
    hotpath = make("native", memory=1 << 20, series_limit=500)
    for value in range(1, 1500):
        hotpath.feed(b"\n".join(b"t%d:%de%d|ms" % (n, value, value % 200 - 5) for n in range(100)), NOW)
        name_all(hotpath)
    records = [r for frame in partial.decode_frames(exported(hotpath))[0] for r in frame.rollups]
    assert sum(len(record.sketch.positive) for record in records) * 16 < 1 << 20
    assert all(sum(record.sketch.positive.values()) == record.samples == 1499 for record in records)
    assert imbalance(hotpath) == 0


def test_the_kernel_was_compiled_with_our_limits():
    from relay.hotpath.native._native import LIMITS

    assert {name: getattr(limits, name) for name in LIMITS} == LIMITS


def test_windows_follow_one_another_alike():
    """Identities, gauges and identities without a series outlive windows; idle ones are removed."""
    pair = both(idle_gauge_ttl=120.0)
    for window in range(6):
        for hotpath in pair:
            hotpath.feed(b"g:+5|g\nc:1|c|#w:%d\ndropped.x:1|c\nh:%d|g" % (window, window), NOW + 60 * window)
            if window in (0, 3):
                hotpath.feed(b"seldom:7|g\nseldom:-1|g", NOW + 60 * window)
            if window % 2:
                name_all(hotpath)
        rows = [close(hotpath, START + 60 * (window + 1)) for hotpath in pair]
        assert_same_rows(*rows)
        assert rows[0]["g", Kind.GAUGE, ""].last == 5 * (window + 1)
        for hotpath in pair:
            name_all(hotpath)
        assert pair[0].tally() == pair[1].tally()
