"""The number of samples that a timer stores exactly is a setting; partials of one setting are read with another."""

from __future__ import annotations

import pytest

from relay import limits
from relay.model import Kind
from tests.support.hotpath import NOW, SETTINGS, START, close, exported, imbalance, make, name_all

MANY = limits.QUANTILE_EXACT_STATSD


def fed(values, *, rate: bytes = b"", **changes):
    hotpath = make(**changes)
    feed(hotpath, values, rate)
    return hotpath


def feed(hotpath, values, rate: bytes = b"") -> None:
    for start in range(0, len(values), 100):
        lines = [b"t:%r|ms%b" % (value, rate) for value in values[start : start + 100]]
        hotpath.feed(b"\n".join(lines), NOW)
        name_all(hotpath)


def timer(hotpath, next_start: int = START + 60):
    rollup = close(hotpath, next_start)["t", Kind.TIMER, ""]
    return rollup.samples, *rollup.quantiles.ascending()


def scrambled(count: int, first: float = 0.5) -> list[float]:
    return [first + number * 7919 % count for number in range(count)]


@pytest.mark.parametrize("bound", [64, MANY])
def test_samples_are_kept_up_to_the_bound_and_binned_beyond(bound):
    kept = scrambled(bound)
    assert timer(fed(kept, exact_samples=bound)) == (bound, sorted(kept), None)
    samples, values, weights = timer(fed([*kept, 3.25], exact_samples=bound))
    assert (samples, sum(weights)) == (bound + 1, bound + 1)
    assert values == sorted(values)
    assert len(values) < bound
    assert min(values) == pytest.approx(0.5, rel=0.01)
    assert max(values) == pytest.approx(bound - 0.5, rel=0.01)


def test_a_sample_rate_is_a_weight_beyond_the_bound_and_none_below():
    assert timer(fed([4.0, 2.0], rate=b"|@0.5")) == (2, [2.0, 4.0], None)
    _, values, weights = timer(fed([2.0] * 70 + [-9.0] * 10, rate=b"|@0.5"))
    assert values == pytest.approx([-9, 2], rel=0.01)
    assert weights == [20, 140]


def test_parts_join_up_to_the_bound():
    parts = [exported(fed(scrambled(500, first=at), exact_samples=MANY)) for at in (0.5, 1000.5, 2000.5)]
    whole = make(exact_samples=MANY)
    assert [whole.merge(part) for part in parts] == [0, 0, 0]
    again = make(exact_samples=MANY)
    again.recover(exported(whole))
    expected = sorted(scrambled(500) + scrambled(500, first=1000.5) + scrambled(500, first=2000.5))
    assert timer(whole) == timer(again) == (1500, expected, None)


@pytest.mark.parametrize(("written", "read"), [(MANY, 64), (64, MANY), (MANY, MANY)])
def test_a_checkpoint_is_read_under_another_bound(written, read):
    values = scrambled(300, first=1.0)
    after = make(exact_samples=read)
    recovery = after.recover(exported(fed(values, exact_samples=written)))
    assert recovery.damaged == 0
    assert imbalance(after) == 0
    feed(after, values[:10])
    samples, found, weights = timer(after)
    assert samples == 310
    if written == read:
        assert (found, weights) == (sorted(values + values[:10]), None)
    else:
        assert sum(weights) == 310
        assert found[-1] == 300
        assert found == sorted(found)


def test_another_bound_holds_from_the_next_window_on():
    hotpath = make()
    feed(hotpath, scrambled(200))
    hotpath.close_window(START + 60)
    name_all(hotpath)
    [(_, before)] = hotpath.closed_window().rows
    hotpath.configure(**{**SETTINGS, "exact_samples": MANY})
    feed(hotpath, scrambled(200))
    assert before.quantiles.ascending()[1] is not None
    assert timer(hotpath, START + 120) == (200, sorted(scrambled(200)), None)


def test_a_snapshot_has_the_samples_too():
    hotpath = fed(scrambled(200), exact_samples=MANY)
    [(_, rollup)] = [row for part in hotpath.snapshot() for row in part]
    assert rollup.quantiles.ascending() == (sorted(scrambled(200)), None)


def test_at_the_bound_of_memory_timers_give_up_their_samples():
    hotpath = make(exact_samples=MANY, memory=1 << 20, series_limit=500)
    for value in range(600):
        hotpath.feed(b"\n".join(b"t%d:%d|ms" % (n, value + n) for n in range(100)), NOW)
        name_all(hotpath)
    [*rollups] = close(hotpath).values()
    assert imbalance(hotpath, closed=60_000) == 0
    assert sum(rollup.samples for rollup in rollups) == 60_000
    if hotpath.name == "native":  # the Python one measures its memory every 400,000 samples
        kept = [values for values, weights in (rollup.quantiles.ascending() for rollup in rollups) if weights is None]
        assert 16 * sum(map(len, kept)) < 1 << 19
        assert len(kept) < 100
