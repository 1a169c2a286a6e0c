"""Sketches against exact answers and against the ddsketch package; sets against exact counts."""

from __future__ import annotations

import random

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.hotpath.sketch import Distinct, Sketch

QS = [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0]


def extend(sketch: Sketch, values: list[float]) -> None:
    sketch.extend(values, 1.0, min(values), max(values))


def exact(samples: list[tuple[float, float]], q: float) -> float:
    """Return the smallest value at which the cumulative weight reaches q x total: the definition."""
    total, reached = sum(weight for _, weight in samples), 0.0
    for value, weight in sorted(samples):
        reached += weight
        if reached >= q * total:
            return value
    return max(samples)[0]


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.sampled_from([1.0, 2.0, 10.0])), min_size=1, max_size=64))
def test_up_to_64_samples_are_exact(samples):
    sketch = Sketch()
    for value, weight in samples:
        sketch.extend([value], weight, value, value)
    assert [sketch.quantile(q) for q in QS] == [exact(samples, q) for q in QS]


@pytest.mark.parametrize(
    "make", [lambda r: r.lognormvariate(3, 2), lambda r: r.uniform(-100, 100), lambda r: r.gauss(0, 1e-3)]
)
def test_more_are_within_one_percent_and_agree_with_the_oracle(make):
    rng = random.Random(3)
    values = [make(rng) for _ in range(5000)]
    sketch, oracle = Sketch(), DDSketch(0.01)
    for start in range(0, 5000, 50):
        extend(sketch, values[start : start + 50])
    for value in values:
        oracle.add(value)
    for q in QS:
        truth = exact([(value, 1.0) for value in values], q)
        assert sketch.quantile(q) == pytest.approx(truth, rel=0.0101)
        assert sketch.quantile(q) == pytest.approx(oracle.get_quantile_value(q), rel=0.0203)


def test_bins_are_bounded_and_the_lowest_collapse():
    sketch = Sketch()
    extend(sketch, [10.0**n for n in range(-300, 300)] * 20)
    extend(sketch, [1.02**n for n in range(3000)])
    assert sketch.size() <= 2 * limits.SKETCH_BINS
    assert sketch.quantile(1.0) == pytest.approx(1e299, rel=0.01)
    assert sketch.quantile(0.999) > 1e290


def test_zero_and_negatives():
    sketch = Sketch()
    extend(sketch, [-5.0] * 40 + [0.0] * 40 + [5.0] * 40)
    assert sketch.quantile(0.1) == pytest.approx(-5, rel=0.01)
    assert sketch.quantile(0.5) == 0
    assert sketch.quantile(0.9) == pytest.approx(5, rel=0.01)
    assert Sketch().quantile(0.5) == 0


@pytest.mark.parametrize("members", [0, 1, 2048, 2049, 10_000, 100_000])
def test_cardinality(members):
    distinct = Distinct()
    for number in range(members):
        distinct.add(b"user-%d" % number)
        if number % 3 == 0:
            distinct.add(b"user-%d" % number)
    if members <= limits.SET_EXACT:
        assert distinct.cardinality() == members
    else:
        assert distinct.cardinality() == pytest.approx(members, rel=4 * 0.0081)


def test_merging_sets_is_their_union():
    def with_members(first: int, last: int) -> Distinct:
        distinct = Distinct()
        for number in range(first, last):
            distinct.add(b"%d" % number)
        return distinct

    for first, second in (((0, 100), (50, 150)), ((0, 5000), (4000, 9000)), ((0, 5000), (4900, 5010))):
        one, other = with_members(*first), with_members(*first)
        one.merge(with_members(*second))
        swapped = with_members(*second)
        swapped.merge(other)
        assert one.cardinality() == swapped.cardinality()
        assert one.cardinality() == with_members(0, second[1]).cardinality()
