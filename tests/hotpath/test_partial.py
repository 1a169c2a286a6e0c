"""Partials: what is exported and merged is what was there; damage costs a frame; merging has laws (I3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.hotpath import partial
from relay.model import Kind
from tests.support.hotpath import NOW, START, close, imbalance, make, name_all

TRAFFIC = b"c:1|c\nc:2|c|@0.5\nt:5|ms\nt:7:9|ms\ng:3|g\ng:+1|g\ns:a|s\ns:b|s\n"


def fed(*datagrams: bytes, now: float = NOW, **changes):
    hotpath = make(**changes)
    for datagram in datagrams:
        hotpath.feed(datagram, now)
        name_all(hotpath)
    return hotpath


def exported(hotpath) -> bytes:
    return b"".join(hotpath.export())


def test_a_window_survives_a_restart():
    before = fed(
        TRAFFIC,
        b"big:%b|ms" % b":".join(b"%d" % n for n in range(1, 200)),
        b"\n".join(b"u:%d|s" % n for n in range(3000)),
    )
    after = make()
    assert after.merge(exported(before), committed=0) == 0
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


def test_a_committed_window_is_void():
    after = make()
    after.merge(exported(fed(TRAFFIC)), committed=START)
    assert after.tally().samples_accepted == 0


def test_gauges_keep_their_base_over_a_restart():
    before = fed(b"g:40|g")
    close(before)
    after = make()
    assert after.merge(b"".join(before.export_gauges()), committed=0) == 0
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
    assert after.merge(bytes(flipped), committed=0) == 1
    assert after.tally().samples_accepted == 600 - partial.RECORDS_PER_FRAME
    torn = make()
    assert torn.merge(stored[:-5], committed=0) == 1
    assert make().merge(b"garbage" + stored, committed=0) == 1


@given(st.binary(max_size=200))
def test_garbage_is_no_partial(garbage):
    hotpath = make()
    hotpath.merge(garbage, committed=0)
    hotpath.merge(partial.MAGIC + garbage, committed=0)
    assert hotpath.tally().samples_accepted == 0


def test_restored_series_respect_the_limit():
    stored = exported(fed(*(b"m%d:1|c" % n for n in range(50))))
    small = make(series_limit=10)
    small.merge(stored, committed=0)
    assert len(close(small)) <= 10 + 4


samples = st.lists(st.tuples(st.integers(-1000, 1000), st.sampled_from([1, 2, 4])), max_size=120)


def hotpath_with(values, now) -> bytes:
    return exported(fed(*(b"t:%d|ms|@%f" % (value, 1 / weight) for value, weight in values), now=now))


def merged(*parts: bytes):
    hotpath = make()
    for part in parts:
        hotpath.merge(part, committed=0)
    return close(hotpath).get(("t", Kind.TIMER, ""))


@given(samples, samples, samples)
def test_merging_is_commutative_and_associative(first, second, third):
    a, b, c = (hotpath_with(values, NOW + at) for at, values in enumerate((first, second, third)))
    one, other = merged(a, b, c), merged(c, a, b)
    nested = make()
    nested.merge(b, committed=0)
    nested.merge(c, committed=0)
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
