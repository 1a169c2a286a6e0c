"""Timers as statsd computes them: its vector, its own code as the oracle, and bins within their promise."""

from __future__ import annotations

import json
import math
import random
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.hotpath.sketch import Sketch
from relay.jdcloud.samples import rank
from relay.jdcloud.timers import TimerMetrics
from relay.model import Rollup
from tests.support import node

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTOR = [1.0, *(10.0 * number for number in range(1, 11))]
SECONDS = 10


def rollup(values: list[float], *, weight: float = 1.0, most: int = 2048) -> Rollup:
    sketch = Sketch(most)
    for start in range(0, len(values), 50):
        part = values[start : start + 50]
        sketch.extend(part, weight, min(part), max(part))
    total = sum(values) * weight
    return Rollup(
        samples=len(values), count=len(values) * weight, sum=total, min=min(values), max=max(values), last=values[-1],
        quantiles=sketch,
    )  # fmt: skip


def derive(values: list[float], *, weight: float = 1.0, most: int = 2048, **wanted) -> dict[str, float]:
    metrics = TimerMetrics(**wanted)
    row = rollup(values, weight=weight, most=most)
    found = dict(metrics.derive("web.api", row, SECONDS))
    assert len(found) == metrics.count("web.api", len(values)) <= metrics.count("web.api")
    return {name.removeprefix("."): value for name, value in found.items()}


def test_the_reference_vector():
    random.Random(1).shuffle(values := list(VECTOR))
    found = derive(values, percentiles=[90, 99.5, -10], histogram=[("api", [10, 50.5, math.inf])])
    assert found == {
        "std": 31.480021212464106, "median": 50,
        "count_90": 10, "mean_90": 45.1, "upper_90": 90, "sum_90": 451,
        "count_99_5": 11, "mean_99_5": 551 / 11, "upper_99_5": 100, "sum_99_5": 551,
        "count_top10": 1, "mean_top10": 100, "lower_top10": 100, "sum_top10": 100,
        "histogram.bin_10": 1, "histogram.bin_50_5": 5, "histogram.bin_inf": 5,
    }  # fmt: skip


def test_sampled_timers_count_their_samples():
    found = derive([10.0 * number for number in range(1, 11)], weight=2.0, percentiles=[90], wanted=["count_ps", "std"])
    assert found == {"std": 28.722813232690143, "count_ps": 2}
    assert derive([1.0] * 10, weight=2.0, percentiles=[90])["count_90"] == 9


@pytest.mark.parametrize(
    ("percentile", "samples", "taken"),
    [
        (90, 1, 1),
        (1, 1, 1),
        (1, 49, 0),
        (1, 50, 1),
        (50, 3, 2),
        (100, 7, 7),
        (-100, 7, 7),
        (-0.1, 499, 0),
        (99.9, 500, 500),
    ],
)
def test_ranks(percentile, samples, taken):
    assert rank(percentile, samples) == taken


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (
            [],
            (
                "std median count_90 mean_90 upper_90 sum_90 "
                "count_top1_5 mean_top1_5 lower_top1_5 sum_top1_5 histogram.bin_5"
            ),
        ),
        (["upper_percent", "count", "mean"], "upper_90"),
        (["lower_percent", "median"], "median lower_top1_5"),
        (["sum_squares", "sum_squares_percent"], "sum_squares sum_squares_90 sum_squares_top1_5"),
        (["count_ps", "histogram"], "count_ps histogram.bin_5"),
        (["mean"], ""),
    ],
)
def test_what_is_wanted(wanted, names):
    found = derive([2.0] * 40, percentiles=[90, -1.5], wanted=wanted, histogram=[("we", [5]), ("", [7])])
    assert list(found) == names.split()


def test_a_percentile_that_covers_nothing_is_skipped():
    assert derive([2.0, 3.0], percentiles=[1, 50]).keys() == {
        "std",
        "median",
        "count_50",
        "mean_50",
        "upper_50",
        "sum_50",
    }


def test_the_histogram_is_that_of_the_first_part_that_fits_and_ignores_what_is_above():
    given_bins = [("nothing", [1.0]), ("api", [2.0, 4.0]), ("web", [9.0])]
    found = derive([1.0, 2.0, 3.9, 4.0, 99.0], percentiles=[], histogram=given_bins)
    assert found == {"std": pytest.approx(38.52, abs=0.01), "median": 3.9, "histogram.bin_2": 1, "histogram.bin_4": 2}
    assert not [
        name
        for name in TimerMetrics(percentiles=[], histogram=given_bins[:1]).derive("x", rollup([1.0]), 1)
        if "bin" in name[0]
    ]


def test_a_limit_below_zero_makes_a_legal_name():
    found = derive([-9.0, -3.0, 1.0], percentiles=[], histogram=[("", [-5.5, 0.0, 1e22])], wanted=["histogram"])
    assert found == {"histogram.bin__5_5": 1, "histogram.bin_0": 1, "histogram.bin_1e22": 1}


# --- beside statsd itself ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def statsd() -> Iterator[subprocess.Popen[str]]:
    """The arithmetic of the npm package, in one process for every case."""
    if not node.has_node():
        pytest.skip("npm is not installed")
    command = [
        "node",
        node.CLIENTS.parent / "support/process_metrics.js",
        node.install() / "statsd/lib/process_metrics.js",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def ask(statsd: subprocess.Popen[str], **case) -> dict[str, float]:
    statsd.stdin.write(json.dumps(case) + "\n")
    statsd.stdin.flush()
    answer = json.loads(statsd.stdout.readline())
    bins = answer.pop("histogram", {})
    return answer | {f"histogram.{name}": value for name, value in bins.items()}


OWN = {"count", "lower", "upper", "sum", "mean"}
"""In the timer's own point."""
WORDS = [
    "std", "median", "sum_squares", "count_ps", "histogram", "count_percent", "mean_percent", "upper_percent",
    "lower_percent", "sum_percent", "sum_squares_percent", "count",
]  # fmt: skip
numbers = st.floats(0, 1e6) | st.integers(0, 30).map(float) | st.floats(-1e3, 1e9)
limits_of_bins = st.lists(st.integers(0, 600).map(lambda tenth: tenth / 20), min_size=1, max_size=4, unique=True)


@settings(max_examples=250)
@given(
    values=st.lists(numbers, min_size=1, max_size=300),
    percentiles=st.lists(st.integers(1, 100) | st.integers(-99, -1), max_size=4, unique=True),
    fractional=st.booleans(),
    bins=limits_of_bins.map(sorted),
    wanted=st.just(WORDS) | st.lists(st.sampled_from(WORDS), min_size=1, unique=True),
)
def test_the_figures_are_those_of_statsd(statsd, values, percentiles, fractional, bins, wanted):
    if fractional and wanted is WORDS:  # the reference forgets its `_percent` for these: `upper_99_5` is not found
        percentiles = [percentile - 0.5 if percentile > 0 else percentile + 0.5 for percentile in percentiles]
    # The reference reads before its first sum where a negative percentile takes everything, and says NaN.
    percentiles = [p for p in percentiles if p > 0 or len(values) == 1 or rank(p, len(values)) < len(values)]
    histogram = [{"metric": "api", "bins": [*bins, "inf"]}]
    case = {
        "values": values,
        "count": len(values),
        "percentiles": percentiles,
        "histogram": histogram,
        "seconds": SECONDS,
    }
    expected = ask(statsd, **case, wanted=[] if wanted is WORDS else wanted)
    found = derive(values, percentiles=percentiles, wanted=wanted, histogram=[("api", [*bins, math.inf])])
    assert found.keys() == expected.keys() - OWN
    greatest = max(map(abs, values))
    for name, value in found.items():
        noise = len(values) * (greatest**2 if "squares" in name else greatest) * 1e-14
        assert value == pytest.approx(expected[name], rel=1e-12, abs=noise), name


# --- beyond the bound -------------------------------------------------------------------------------------------------

SHAPES = {
    "lognormal": lambda r: r.lognormvariate(3, 2),
    "both signs": lambda r: r.uniform(-100, 100),
    "few values": lambda r: float(r.randrange(1, 5)),
    "far apart": lambda r: 10.0 ** r.uniform(-8, 8),
}


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_bins_are_within_one_percent(make, weight):
    rng = random.Random(7)
    values = [make(rng) for _ in range(5000)]
    bins = [1.0, 30.0, math.inf]
    asked = {"percentiles": [90, 99.5, -10, 100], "histogram": [("", bins)], "wanted": WORDS}
    exact = derive(values, weight=weight, most=8192, **asked)
    found = derive(values, weight=weight, most=64, **asked)
    assert found.keys() == exact.keys()
    magnitude = sum(map(abs, values))
    rms = math.sqrt(sum(value * value for value in values) / len(values))
    for name, value in found.items():
        word = name.split("_")[0]
        if word == "count":
            assert value == pytest.approx(exact[name]), name
        elif word.startswith("histogram"):
            edge = sum(0.98 * limit < value < 1.02 * limit for limit in bins for value in values)
            assert abs(value - exact[name]) <= edge, name
        else:
            slack = {"std": rms, "sum": magnitude, "mean": rms}.get(word, 0.0) * 0.0101
            assert value == pytest.approx(exact[name], rel=0.0203 if "squares" in name else 0.0101, abs=slack), name
    assert sum(value for name, value in found.items() if "bin" in name) == 5000


extremes = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(extremes, min_size=1, max_size=100), st.sampled_from([5e-324, 1.0, 1e308]), st.sampled_from([8, 2048]))
def test_whatever_was_sampled_no_figure_is_without_a_number(values, weight, most):
    asked = {"percentiles": [50, -50, 100, -100], "wanted": WORDS, "histogram": [("", [0.0, math.inf])]}
    assert not any(map(math.isnan, derive(values, weight=weight, most=most, **asked).values()))
