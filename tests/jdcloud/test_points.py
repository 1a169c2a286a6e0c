"""Points: what each class sends, both outputs, every counter form; what yields to what; and the emulator's limits."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.jdcloud import codec
from relay.jdcloud.points import PointEncoder, legal_number, statistics
from relay.jdcloud.timers import TimerMetrics, percentile_suffix
from relay.model import ClosedWindow, Kind, Rollup, Series
from relay.tools.emulator.check import check_point
from relay.window.idle import IdleSeries
from tests.support.closed_windows import HOST, START, Fixed, counter, gauge, members, timer, window


def encode(closed: ClosedWindow, **changes):
    settings = {"namespace": "ns", "output": "aggregate", "counter_values": "total", "percentiles": [95.0]}
    encoding = PointEncoder(**{**settings, **changes}).encode_window(closed)
    assert sum(1 for _ in encoding.prepare()) >= len(closed.rows)
    points = [json.loads(point.body) for point in encoding]
    assert not any(check_point(point, START) for point in points)
    return points, encoding


def values(closed: ClosedWindow, **changes) -> dict[str, dict]:
    return {point["metric"]: point["values"] for point in encode(closed, **changes)[0]}


def same(value, count=1):
    return {"sum": value, "count": count, "avg": value, "min": value, "max": value, "last": value}


def test_a_point_is_complete():
    [point], _ = encode(window(counter()))
    assert point == {
        "namespace": "ns",
        "metric": "c",
        "dimensions": {"host": "h1"},
        "timestamp": START,
        "type": 2,
        "values": same(6),
    }


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("total", same(6)),
        ("rate", same(0.1)),
        ("samples", {"sum": 6, "count": 3, "avg": 2, "min": 1, "max": 3, "last": 2}),
    ],
)
def test_counters(form, expected):
    assert values(window(counter()), counter_values=form)["c"] == expected
    assert values(window(counter()), counter_values=form, output="raw")["c"] == {"value": expected["sum"]}


def test_timers_have_statistics_and_percentiles():
    sent = values(window(timer()), percentiles=[95.0, 99.9, 50])
    assert sent == {
        "t": {"sum": 40, "count": 8, "avg": 5, "min": 1, "max": 9.5, "last": 5},
        "t.p95": same(95),
        "t.p99_9": same(99.9),
        "t.p50": same(50),
    }
    assert values(window(timer()), output="raw") == {
        "t.sum": {"value": 40},
        "t.count": {"value": 8},
        "t.avg": {"value": 5},
        "t.min": {"value": 1},
        "t.max": {"value": 9.5},
        "t.p95": {"value": 95},
    }


STATSD = TimerMetrics(percentiles=[75, -20, 10], histogram=[("t", [5, math.inf])])


def test_timers_as_statsd_computes_them_come_beside_their_own_point():
    sent = values(window(timer(), counter()), timer_metrics=STATSD)
    own = {"t": {"sum": 40, "count": 8, "avg": 5, "min": 1, "max": 9.5, "last": 5}, "c": same(6)}
    figures = {
        "std": 3.020761493398643, "median": 4.75, "count_75": 3, "mean_75": 3.5, "upper_75": 5, "sum_75": 10.5,
        "count_top20": 1, "mean_top20": 9.5, "lower_top20": 9.5, "sum_top20": 9.5,
        "histogram.bin_5": 2, "histogram.bin_inf": 2,
    }  # fmt: skip
    assert sent == own | {f"t.{name}": same(value) for name, value in figures.items()}
    raw = values(window(timer()), timer_metrics=STATSD, output="raw")
    assert {name: raw[f"t.{name}"] for name in figures} == {name: {"value": value} for name, value in figures.items()}
    assert len(raw) == len(figures) + 5


@pytest.mark.parametrize(("per_minute", "sheds"), [(2, False), (1, True)])
def test_figures_of_timers_go_first_too_each_counted(per_minute, sheds):
    closed = window(timer(), timer("t.std"), gauge())  # a name received beats a figure; p10 of 4 samples takes none
    points, encoding = encode(closed, timer_metrics=STATSD, requests_per_minute=per_minute)
    made = 3 + 2 * 12
    assert len(points) == (3 if sheds else made - 1)
    assert (encoding.points_collided, encoding.points_shed) == ((0, 24) if sheds else (1, 0))
    assert (encoding.requests_needed, encoding.over_quota) == (1, sheds)


def test_gauges_and_sets():
    sent = values(window(gauge(), members()))
    assert sent["g"] == {"sum": 30, "count": 2, "avg": 15, "min": 10, "max": 20, "last": 10}
    assert sent["s"] == same(7)
    assert values(window(gauge(), members()), output="raw") == {"g": {"value": 10}, "s": {"value": 7}}


def idle_after(*rows, kinds=(Kind.COUNTER, Kind.TIMER, Kind.SET)) -> IdleSeries:
    idle = IdleSeries(kinds=kinds, limit=1000)
    encode(window(*rows), idle=idle)
    return idle


def test_what_was_active_before_is_sent_as_zero():
    before = [counter(), timer(), members(), gauge(), counter("busy")]
    idle = idle_after(*before)
    for _ in range(2):
        points, encoding = encode(window(counter("busy")), idle=idle)
        assert {point["metric"]: point["values"] for point in points} == {
            "busy": same(6), "c": same(0), "t": same(0, count=0), "s": same(0)
        }  # fmt: skip
        assert (encoding.samples_dropped, encoding.points_shed) == (0, 0)
    assert values(window(), idle=idle, output="raw", percentiles=[50]) == {
        "busy": {"value": 0}, "c": {"value": 0}, "t.count": {"value": 0}, "s": {"value": 0}
    }  # fmt: skip
    assert values(window(), idle=idle_after(*before, kinds=[Kind.SET])).keys() == {"s"}


def test_a_zero_counts_for_the_quota_and_is_one_point():
    idle = idle_after(*(timer(f"t{number}") for number in range(150)))
    points, encoding = encode(window(timer("t0")), idle=idle, timer_metrics=STATSD, requests_per_minute=5)
    assert len(points) == 13 + 149
    assert (encoding.requests_needed, encoding.over_quota) == (4, False)


def test_a_zero_yields_to_whatever_was_received():
    idle = idle_after(gauge("x"), counter("x.counter", derived=True), counter("t.p95"), counter("y"))
    received = window(counter("x.counter"), timer(), gauge("y", derived=True))
    points, encoding = encode(received, idle=idle)
    assert {point["metric"]: point["values"] for point in points} == {
        "x.counter": same(6), "t": statistics(timer()[1]), "t.p95": same(95), "y": statistics(gauge()[1])
    }  # fmt: skip
    assert (encoding.samples_dropped, encoding.points_collided) == (0, 0)


@pytest.mark.parametrize("swap", [False, True])
def test_a_derived_name_yields_to_a_received_one(swap):
    rows = [timer("x"), counter("x.p95"), gauge("x.gauge", derived=True), counter("x.gauge")]
    points, encoding = encode(window(*(reversed(rows) if swap else rows)))
    assert sorted(point["metric"] for point in points) == ["x", "x.gauge", "x.p95"]
    assert next(point for point in points if point["metric"] == "x.p95")["values"] == same(6)
    assert (encoding.samples_dropped, encoding.points_collided) == (2, 1)


def test_two_rows_of_one_key_never_both_go_out():
    points, encoding = encode(window(counter("x"), gauge("x")))
    assert len(points) == 1
    assert encoding.samples_dropped == 2


def test_the_same_metric_with_other_dimensions_is_no_collision():
    points, encoding = encode(window(counter("x"), counter("x", dimensions=(("host", "h2"),))))
    assert len(points) == 2
    assert encoding.samples_dropped == 0


def test_a_name_in_two_namespaces_is_no_collision():
    rows = [timer("x"), counter("x.p95", namespace="app"), counter("x", namespace="app")]
    points, encoding = encode(window(*rows))
    named = [(point["namespace"], point["metric"]) for point in points]
    assert named == [("ns", "x"), ("ns", "x.p95"), ("app", "x.p95"), ("app", "x")]
    assert (encoding.samples_dropped, encoding.points_collided) == (0, 0)


def test_the_default_namespace_by_its_name_is_the_same_one():
    points, encoding = encode(window(counter("x"), counter("x", namespace="ns")))
    assert len(points) == 1
    assert encoding.samples_dropped == 3


@pytest.mark.parametrize(
    ("value", "sent"),
    [(1.0, 1), (1.5, 1.5), (-0.0, 0), (1e300, 9223372036854774784), (-1e300, -9223372036854774784), (2.0**53, 2**53)],
)
def test_numbers_are_clamped_and_whole_ones_are_integers(value, sent):
    assert legal_number(value) == sent
    assert isinstance(legal_number(value), type(sent))
    assert codec.encode(legal_number(value)) == str(sent).encode()


BEYOND = st.sampled_from([2.0**63, 1e19, 1e308, math.inf])
WITHIN = st.sampled_from([0.0, 1.0, 1e18])
NUMBERS = st.builds(lambda number, sign: number * sign, st.one_of(BEYOND, WITHIN), st.sampled_from([1, -1]))


@given(st.lists(NUMBERS, min_size=4, max_size=4), st.sampled_from(["aggregate", "raw"]), st.sampled_from(list(Kind)))
def test_every_statistic_that_is_clamped_is_counted_whatever_its_sign(numbers, output, kind):
    total, low, high, last = numbers
    low, high = sorted((low, high))
    rollup = Rollup(samples=2, count=2.0, sum=total, min=low, max=high, last=last)
    closed = window((Series("m", HOST, kind), rollup))
    points, encoding = encode(closed, output=output, counter_values="samples")
    sent = [value for point in points for value in point["values"].values()]
    assert encoding.values_clamped == sum(abs(value) == limits.VALUE_MAX for value in sent)
    assert encoding.clamped_metric == ("m" if encoding.values_clamped else "")


def test_what_the_bound_itself_is_was_not_clamped():
    bound = float(limits.VALUE_MAX)
    rollup = Rollup(samples=1, count=1.0, sum=bound, min=bound, max=bound, last=bound)
    _, encoding = encode(window((Series("m", HOST, Kind.GAUGE), rollup)))
    assert encoding.values_clamped == 0


def test_a_figure_of_a_timer_that_is_clamped_is_counted():
    squares = TimerMetrics(percentiles=[], wanted=["sum_squares"])
    series, rollup = timer("m")
    kept = SimpleNamespace(ascending=lambda: ([1e10, 1e10], None))
    closed = window((series, dataclasses.replace(rollup, quantiles=kept)))
    points, encoding = encode(closed, timer_metrics=squares)
    assert [point["metric"] for point in points] == ["m", "m.sum_squares"]
    assert encoding.values_clamped == 5


def test_percentile_suffixes():
    assert [percentile_suffix(p) for p in (95.0, 99.9, 50, 99.99, 5)] == [".p95", ".p99_9", ".p50", ".p99_99", ".p5"]


def test_a_long_name_stays_within_its_bytes_with_a_suffix():
    points, _ = encode(window(timer("x" * 255)))
    assert [len(point["metric"]) for point in points] == [255, 255]


@pytest.mark.parametrize(
    ("output", "timers", "per_minute", "needed", "shed"),
    [
        ("aggregate", 45, 3, 2, 0),  # 90 points, 2 requests, 2.7 allowed
        ("aggregate", 45, 2, 2, 45),
        ("raw", 50, 7, 6, 0),
        ("raw", 50, 6, 6, 50),
    ],
)
def test_percentiles_are_the_first_to_go_when_a_window_needs_too_much(output, timers, per_minute, needed, shed):
    closed = window(*(timer(f"t{number}") for number in range(timers)))
    points, encoding = encode(closed, output=output, requests_per_minute=per_minute)
    assert (encoding.requests_needed, encoding.requests_allowed, encoding.points_shed) == (needed, per_minute, shed)
    assert encoding.over_quota is (shed > 0)
    assert len([point for point in points if point["metric"].endswith(".p95")]) == timers - shed
    assert len({point["metric"].partition(".")[0] for point in points}) == timers


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(st.sampled_from(Kind), *[numbers] * 4, st.floats(1e-300, 1e300)), max_size=8),
    st.sampled_from(["raw", "aggregate"]),
)
def test_whatever_was_sampled_the_service_takes_it(samples, output):
    rows = []
    for number, (kind, total, low, high, last, count) in enumerate(samples):
        rollup = Rollup(
            samples=1,
            count=count,
            sum=total,
            min=low,
            max=high,
            last=last,
            quantiles=Fixed() if kind is Kind.TIMER else None,
        )
        rows.append((Series(f"m{number}", HOST, kind), rollup))
    for form in ("total", "samples", "rate"):
        encode(window(*rows), output=output, counter_values=form)
    assert limits.NAME_BYTES == 255
