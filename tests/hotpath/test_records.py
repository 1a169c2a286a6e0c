"""A record of a state file is used if a hot path can have written it, else counted as damaged and left out."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.hotpath import partial
from relay.hotpath.records import Frame, GaugeRecord, RollupRecord, SketchState
from relay.model import Kind
from tests.support.hotpath import NOW, START, close, exported, imbalance, make, name_all

REGISTERS = bytes(1 << limits.SET_PRECISION)
SAMPLES = SketchState([(5.0, 1.0), (7.0, 2.0)], {}, {}, 0.0, 5.0, 7.0)
BINS = SketchState(None, {80: 3.0}, {-5: 1.0}, 2.0, -1.0, 7.0)
COUNTER = RollupRecord(
    "c", (("tags", ""),), Kind.COUNTER, derived=False, samples=3, count=3.0, total=19.0, low=5.0, high=7.0, last=7.0,
    last_at=NOW, sketch=None, hashes=None, registers=b"",
)  # fmt: skip


def changed(record, **changes):
    return msgspec.structs.replace(record, **changes)


TIMER = changed(COUNTER, metric="t", kind=Kind.TIMER, sketch=SAMPLES)
BINNED = changed(TIMER, sketch=BINS)
GAUGE = changed(COUNTER, metric="g", kind=Kind.GAUGE)
MEMBERS = changed(
    COUNTER, metric="s", kind=Kind.SET, count=0.0, total=0.0, low=math.inf, high=-math.inf, last=0.0, hashes=[1, 2, 0]
)
ESTIMATE = changed(MEMBERS, hashes=None, registers=b"\x33" + REGISTERS[1:])
SOUND = [COUNTER, TIMER, BINNED, GAUGE, MEMBERS, ESTIMATE, changed(TIMER, sketch=None)]
BASE = GaugeRecord("g", (("tags", ""),), derived=False, value=5.0, updated=START, at=NOW)


def frame(*records, gauges=()) -> bytes:
    return partial.encode_frame(Frame(START, list(records), list(gauges)))


def packed(**fields) -> bytes:
    """Return a counter with numbers that our encoder does not write."""
    values = {name: getattr(COUNTER, name) for name in COUNTER.__struct_fields__} | fields
    return partial.wrap(msgspec.msgpack.encode([START, [list(values.values())], []]))


@pytest.mark.parametrize("record", SOUND, ids=lambda record: f"{record.kind} {record.sketch and 'sketch'}")
def test_what_a_hot_path_writes_is_taken(record):
    hotpath = make()
    assert hotpath.merge(frame(record)) == 0
    assert hotpath.recover(frame(record)).damaged == 0
    assert hotpath.tally().samples_accepted == 6
    [rollup] = close(hotpath).values()
    assert rollup.samples == 6


@pytest.mark.parametrize("values", [[1e-9, 1.7e308, -1e-9, -1.7e308, 0.0], [0.5] * 70, [1.0] * 64], ids=len)
def test_the_extremes_that_come_by_lines_are_sound(values):
    before = make()
    for number in range(14):
        before.feed(b"t:%b|ms" % b":".join(repr(value).encode() for value in values), NOW)
        before.feed(b"\n".join(b"s:%d|s" % (number * 300 + one) for one in range(300)), NOW)
        before.feed(b"c:1e308|c|@1e-300\ng:-1.7e308|g\ng:+1.7e308|g\nd:1|d|@1e308\nd:1|d|@0", NOW)
        name_all(before)
    stored = exported(before)
    assert make().merge(stored) == 0
    assert make().recover(stored).damaged == 0


@pytest.mark.parametrize("exact", [32_768, 32_769, 40_000])
def test_as_many_samples_as_a_sketch_can_have(exact):
    sketch = changed(SAMPLES, exact=[(5.0, 1.0)] * exact)
    hotpath = make(exact_samples=limits.EXACT_MOST)
    assert hotpath.merge(frame(changed(TIMER, samples=exact, sketch=sketch))) == (exact > limits.EXACT_MOST)
    assert imbalance(hotpath) == 0


sketches = [
    ("exact", [(math.nan, 1.0)]), ("exact", [(math.inf, 1.0)]), ("exact", [(5.0, 0.0)]), ("exact", [(5.0, -1.0)]),
    ("exact", [(5.0, math.nan)]), ("exact", [(5.0, math.inf)]), ("positive", {80: 1.0}), ("negative", {80: 1.0}),
    ("zero", 1.0), ("low", math.nan), ("high", math.inf), ("low", 8.0),
]  # fmt: skip
bins = [
    ("positive", {-1_037: 1.0}), ("positive", {35_490: 1.0}), ("positive", {2**40: 1.0}), ("negative", {-(2**63): 1.0}),
    ("negative", {1: math.nan}), ("positive", {1: 0.0}), ("positive", {1: math.inf}), ("zero", math.nan),
    ("zero", -1.0),
    ("positive", dict.fromkeys(range(limits.SKETCH_BINS + 1), 1.0)),
]  # fmt: skip
UNSOUND = [
    *(changed(COUNTER, **{name: value}) for name in ("count", "total", "last", "last_at", "low", "high")
      for value in (math.nan, math.inf, -math.inf)),
    *(changed(COUNTER, samples=samples) for samples in (-1, 2**63, 2**40 + 1)),
    changed(COUNTER, count=-1.0),
    changed(COUNTER, low=8.0),
    changed(COUNTER, sketch=SAMPLES),
    changed(COUNTER, hashes=[1]),
    changed(GAUGE, registers=REGISTERS),
    changed(MEMBERS, sketch=SAMPLES),
    changed(MEMBERS, sketch=BINS),
    changed(MEMBERS, registers=REGISTERS),
    changed(MEMBERS, hashes=None),
    changed(MEMBERS, hashes=[-1]),
    changed(MEMBERS, hashes=list(range(limits.SET_EXACT + 1))),
    changed(ESTIMATE, registers=b"\x34" + REGISTERS[1:]),
    changed(ESTIMATE, registers=b"\xff" * len(REGISTERS)),
    changed(ESTIMATE, registers=REGISTERS[1:]),
    changed(ESTIMATE, registers=REGISTERS + b"\0"),
    changed(COUNTER, metric="a\0b"),
    changed(COUNTER, metric="x" * 65_536),
    changed(COUNTER, dimensions=(("a", "b\0c"),)),
    changed(COUNTER, dimensions=(("a", "x" * 65_535),)),
    changed(COUNTER, namespace="a\0b"),
    *(changed(TIMER, sketch=changed(SAMPLES, **{name: value})) for name, value in sketches),
    *(changed(TIMER, sketch=changed(BINS, **{name: value})) for name, value in bins),
]  # fmt: skip


@pytest.mark.parametrize("record", UNSOUND, ids=range(len(UNSOUND)))
def test_what_no_hot_path_writes_is_counted_and_left_out(record):
    good = changed(COUNTER, metric="good")
    hotpath = make()
    assert hotpath.merge(frame(record, good)) == 1
    recovery = hotpath.recover(frame(good, record))
    assert (recovery.damaged, recovery.owners) == (1, [("good", Kind.COUNTER, "")])
    assert hotpath.tally().samples_accepted == 6
    assert imbalance(hotpath) == 0
    assert [metric for metric, *_ in close(hotpath)] == ["good"]


@pytest.mark.parametrize(
    "changes",
    [{"value": math.nan}, {"value": math.inf}, {"updated": 2**63}, {"updated": -(2**60)}, {"at": math.nan},
     {"at": -math.inf}, {"metric": "\0"}, {"namespace": "\0"}],
    ids=str,
)  # fmt: skip
def test_a_base_that_is_none_is_counted_and_left_out(changes):
    hotpath = make()
    assert hotpath.merge(frame(gauges=[changed(BASE, **changes), changed(BASE, metric="good")])) == 1
    assert [series.metric for part in hotpath.gauges() for series, _ in part] == ["good"]


def test_an_older_sound_record_of_a_series_counts_where_the_newest_is_not():
    hotpath = make()
    recovery = hotpath.recover(frame(COUNTER) + frame(changed(COUNTER, samples=9, total=math.nan)))
    assert (recovery.damaged, recovery.owners) == (1, [("c", Kind.COUNTER, "")])
    assert close(hotpath)["c", Kind.COUNTER, ""].samples == 3


def test_a_set_of_which_every_register_is_full_is_finite():
    hotpath = make()
    full = changed(ESTIMATE, registers=b"\x33" * len(REGISTERS))
    assert hotpath.merge(frame(full)) == 0
    [rollup] = close(hotpath).values()
    assert rollup.sum == 2.0**64


numbers = st.floats() | st.sampled_from([0.0, 1.0, 1e-9, 1.8e308])
wild = st.builds(
    RollupRecord,
    metric=st.sampled_from(["a", "b", "\0", ""]),
    dimensions=st.sampled_from([(("tags", ""),), (("tags", "x"),), (("a", "b"), ("c", "d"))]),
    kind=st.sampled_from(Kind),
    derived=st.just(False),
    samples=st.integers(-1, 2**41) | st.sampled_from([2**63 - 1, 1]),
    count=numbers,
    total=numbers,
    low=numbers,
    high=numbers,
    last=numbers,
    last_at=numbers,
    sketch=st.none()
    | st.builds(
        SketchState,
        exact=st.none() | st.lists(st.tuples(numbers, numbers), max_size=4),
        positive=st.dictionaries(st.integers(-1_040, 35_495), numbers, max_size=3),
        negative=st.dictionaries(st.integers(-(2**63), 2**63), numbers, max_size=3),
        zero=numbers,
        low=numbers,
        high=numbers,
    ),
    hashes=st.none() | st.lists(st.integers(-1, 2**64 - 1), max_size=4),
    registers=st.sampled_from([b"", REGISTERS, b"\x33" * len(REGISTERS), b"\x34" * len(REGISTERS)]),
    namespace=st.sampled_from(["", "\0"]),
)
near = st.builds(
    lambda record, name, value: changed(record, **{name: value}),
    st.sampled_from(SOUND),
    st.sampled_from(["count", "total", "low", "high", "last", "last_at"]),
    numbers,
)


@given(st.lists(wild | near, max_size=6))
def test_any_record_is_taken_or_refused_alike(records):
    pair = make("native"), make("python")
    stored = b"".join(frame(record) for record in records)
    assert [hotpath.merge(stored) for hotpath in pair] == [sum(not record.is_valid() for record in records)] * 2
    rows = []
    for hotpath in pair:
        hotpath.feed(b"a:1|c\nb:2|ms\nt:3|ms\ng:+1|g\ns:u|s", NOW)
        name_all(hotpath)
        assert imbalance(hotpath) == 0
        assert b"".join(frame for _, frame in hotpath.export())
        rows.append(close(hotpath))
    assert rows[0].keys() == rows[1].keys()
    for row in (*rows[0].values(), *rows[1].values()):
        assert all(map(math.isfinite, (row.count, row.sum, row.min, row.max, row.last)))
        assert row.quantiles is None or math.isfinite(row.quantiles.quantile(0.5))


@given(st.binary(max_size=200) | st.lists(st.integers() | st.floats() | st.text(), max_size=20))
def test_any_payload_with_a_right_checksum_breaks_nothing(payload):
    try:
        text = payload if isinstance(payload, bytes) else msgspec.msgpack.encode([START, [payload], [payload]])
    except OverflowError:
        return
    hotpath = make()
    assert hotpath.merge(partial.wrap(text)) <= 2
    hotpath.recover(partial.wrap(text))
    assert imbalance(hotpath) == 0


def test_numbers_of_another_width_are_numbers():
    assert make().merge(packed(count=3, total=struct.unpack("f", struct.pack("f", 0.1))[0])) == 0
