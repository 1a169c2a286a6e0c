"""Partials: export and merge keep the content, damage costs one frame, and merging obeys its laws (I3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.hotpath import partial
from relay.model import Kind
from tests.support.hotpath import NOW, START, close, exported, imbalance, make, name_all

TRAFFIC = b"c:1|c\nc:2|c|@0.5\nt:5|ms\nt:7:9|ms\ng:3|g\ng:+1|g\ns:a|s\ns:b|s\n"


def fed(*datagrams: bytes, now: float = NOW, **changes):
    hotpath = make(**changes)
    for datagram in datagrams:
        hotpath.feed(datagram, now)
        name_all(hotpath)
    return hotpath


def test_a_window_survives_a_restart():
    before = fed(
        TRAFFIC,
        b"big:%b|ms" % b":".join(b"%d" % n for n in range(1, 200)),
        b"\n".join(b"u:%d|s" % n for n in range(3000)),
    )
    after = make()
    assert after.merge(exported(before)) == 0
    assert after.tally().samples_open == before.tally().samples_open
    assert imbalance(after) == 0
    rows, expected = close(after), close(before)
    assert rows.keys() == expected.keys()
    for key, rollup in rows.items():
        other = expected[key]
        assert (rollup.samples, rollup.count, rollup.sum, rollup.min, rollup.max, rollup.last) == (
            other.samples,
            other.count,
            other.sum,
            other.min,
            other.max,
            other.last,
        )
        if rollup.quantiles is not None:
            assert rollup.quantiles.quantile(0.95) == other.quantiles.quantile(0.95)


def test_overflow_series_survive_a_restart_at_the_limit():
    lines = [b"m%d:1|c" % n for n in range(80)] + [b"big:1|c|#user:%d" % n for n in range(50)]
    before = fed(b"\n".join(lines), series_limit=100)
    after = make(series_limit=100)
    after.merge(exported(before))
    name_all(after)
    rows, expected = close(after), close(before)
    assert ("big", Kind.COUNTER, "true") in expected
    assert {key: rollup.samples for key, rollup in rows.items()} == {
        key: rollup.samples for key, rollup in expected.items()
    }
    assert after.tally().samples_overflow == 0


def test_a_frame_of_large_series_is_bounded():
    """The native reader and the event loop wait for at most one frame."""
    members = [b"\n".join(b"set%d:%d|s" % (s, m) for m in range(1500)) for s in range(60)]
    hotpath = fed(*members, implementation="native")
    frames = [frame for _, frame in hotpath.export()]
    assert max(map(len, frames)) < 300_000
    assert len(records(b"".join(frames))) == 60


def test_only_what_changed_is_exported_again():
    hotpath = fed(TRAFFIC)
    assert len(records(exported(hotpath, changed=True))) == 4
    assert exported(hotpath, changed=True) == b""
    hotpath.feed(b"c:1|c\nnew:1|c", NOW)
    name_all(hotpath)
    assert {record.metric for record in records(exported(hotpath, changed=True))} == {"c", "new"}
    assert len(records(exported(hotpath))) == 5


def test_what_comes_while_a_window_is_exported_is_exported_the_next_time():
    hotpath = fed(*(b"m%d:1|c" % n for n in range(300)))
    frames = hotpath.export(changed=True)
    [(window, first)] = [next(frames)]
    hotpath.feed(b"m0:1|c\nlate:1|c", NOW)
    name_all(hotpath)
    rest = b"".join(frame for _, frame in frames)
    assert window == START
    again = exported(hotpath, changed=True)
    newest = {record.metric: record.samples for record in records(first + rest + again)}
    assert len(newest) == 301
    assert (newest["m0"], newest["late"]) == (2, 1)


def test_the_newest_record_of_a_series_is_what_recovers():
    before = make()
    checkpoint = b""
    for number in range(1, 90):
        before.feed(b"c:%d|c\nt:%d|ms\ng:+1|g\ns:%d|s\nx%d:1|c" % (number, number, number % 10, number), NOW + number)
        name_all(before)
        checkpoint += exported(before, changed=True)
    after = make(series_limit=1000)
    recovery = after.recover(checkpoint)
    assert recovery.damaged == 0
    assert {("c", Kind.COUNTER, ""), ("g", Kind.GAUGE, ""), ("x7", Kind.COUNTER, "")} <= set(recovery.owners)
    assert after.tally().samples_open == before.tally().samples_open
    assert imbalance(after) == 0
    rows, expected = close(after), close(before)
    assert rows.keys() == expected.keys()
    assert all((rows[key].samples, rows[key].sum) == (expected[key].samples, expected[key].sum) for key in rows)
    assert rows["g", Kind.GAUGE, ""].last == 89


@given(st.data())
def test_any_damage_to_a_checkpoint_invents_nothing(data):
    before = fed(*(b"m%d:1|c" % n for n in range(10)))
    checkpoint = exported(before, changed=True)
    before.feed(b"\n".join(b"m%d:1|c" % n for n in range(10)), NOW)
    checkpoint += exported(before, changed=True)
    place, byte = data.draw(st.integers(0, len(checkpoint) - 1)), data.draw(st.integers(0, 255))
    match data.draw(st.sampled_from(["flip", "cut", "zeros"])):
        case "flip":
            damaged = checkpoint[:place] + bytes([byte]) + checkpoint[place + 1 :]
        case "cut":
            damaged = checkpoint[:place]
        case _:
            damaged = checkpoint[:place] + bytes(len(checkpoint) - place)
    after = make()
    after.recover(damaged)
    assert after.tally().samples_accepted in (0, 10, 20)
    assert imbalance(after) == 0


def test_gauges_keep_their_base_over_a_restart():
    before = fed(b"g:40|g")
    close(before)
    after = make()
    assert after.merge(b"".join(before.export_gauges())) == 0
    assert after.tally().series == 1
    after.feed(b"g:+2|g", NOW)
    name_all(after)
    assert close(after)["g", Kind.GAUGE, ""].last == 42


def test_damage_costs_one_frame():
    before = fed(*(b"m%d:1|c" % n for n in range(600)), series_limit=1000)
    stored = exported(before)
    flipped = bytearray(stored)
    flipped[100] ^= 0xFF
    after = make()
    assert after.merge(bytes(flipped)) == 1
    assert after.tally().samples_accepted == 600 - partial.RECORDS_PER_FRAME
    torn = make()
    assert torn.merge(stored[:-5]) == 1
    assert make().merge(b"garbage" + stored) == 1


def records(stored: bytes):
    return [record for frame in partial.decode_frames(stored)[0] for record in frame.rollups]


@given(st.binary(max_size=200))
def test_garbage_is_no_partial(garbage):
    hotpath = make()
    hotpath.merge(garbage)
    hotpath.merge(partial.MAGIC + garbage)
    assert hotpath.tally().samples_accepted == 0


def test_restored_series_respect_the_limit():
    stored = exported(fed(*(b"m%d:1|c" % n for n in range(50))))
    small = make(series_limit=10)
    small.merge(stored)
    assert len(close(small)) <= 10 + 4


samples = st.lists(st.tuples(st.integers(-1000, 1000), st.sampled_from([1, 2, 4])), max_size=120)


def hotpath_with(values, now) -> bytes:
    return exported(fed(*(b"t:%d|ms|@%f" % (value, 1 / weight) for value, weight in values), now=now))


def merged(*parts: bytes):
    hotpath = make()
    for part in parts:
        hotpath.merge(part)
    return close(hotpath).get(("t", Kind.TIMER, ""))


@given(samples, samples, samples)
def test_merging_is_commutative_and_associative(first, second, third):
    a, b, c = (hotpath_with(values, NOW + at) for at, values in enumerate((first, second, third)))
    one, other = merged(a, b, c), merged(c, a, b)
    nested = make()
    nested.merge(b)
    nested.merge(c)
    third_way = merged(a, exported(nested))
    for result in (other, third_way):
        if one is None:
            assert result is None
            continue
        assert (one.samples, one.count, one.sum, one.min, one.max, one.last) == (
            result.samples,
            result.count,
            result.sum,
            result.min,
            result.max,
            result.last,
        )
        assert one.quantiles.quantile(0.5) == pytest.approx(result.quantiles.quantile(0.5), rel=0.021, abs=1e-9)
