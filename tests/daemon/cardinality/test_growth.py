"""How fast metrics grow, and when they reach a limit."""

from __future__ import annotations

import pytest

from relay import ledger
from relay.config.schema import LimitsConfig
from relay.daemon.cardinality.growth import CountedWindow, MetricHistory
from relay.ledger import MetricCounts
from relay.model import Kind, Metric, Series

WEB, JOBS = Metric("web", Kind.COUNTER), Metric("jobs", Kind.GAUGE)


def counted(**metrics: int) -> MetricCounts:
    counts = MetricCounts()
    for name, number in metrics.items():
        kind = JOBS.kind if name == "jobs" else WEB.kind
        for _ in range(number):
            counts.add_series(Series(name, (), kind))
        counts.add_samples(Series(name, (), kind), 2 * number)
    return counts


def history(*windows: dict[str, int], seconds: int = 60, partial: int = 0) -> MetricHistory:
    found = MetricHistory()
    for number, metrics in enumerate(windows):
        found.add(CountedWindow(600 + number * seconds, number >= partial, counted(**metrics)))
    return found


def test_counts_are_of_a_bounded_number_of_metrics(monkeypatch):
    monkeypatch.setattr(ledger, "METRICS_MAX", 2)
    counts = counted(a=1, b=2, c=3)
    assert (len(counts.series), counts.others, counts.total) == (2, 3, 6)
    assert sum(counts.samples.values()) == 6


def test_a_growth_is_that_of_the_newest_windows():
    grown = history({"web": 100}, {"web": 10, "jobs": 4}, {"web": 20, "jobs": 4}, {"web": 30, "jobs": 4}, {"web": 70})
    assert grown.growth(WEB) == 20
    assert grown.growth(JOBS) == 0, "a metric that is gone does not count as shrinking"
    assert grown.total_growth() == pytest.approx((70 - 14) / 3)


def test_a_growth_is_by_the_minute_whatever_the_length_of_a_window():
    assert history({"web": 10}, {"web": 11}, seconds=10).growth(WEB) == 6


def test_a_window_that_began_before_the_relay_is_no_base():
    assert history({"web": 10}).growth(WEB) is None
    assert history({"web": 1}, {"web": 100}, partial=1).growth(WEB) is None
    assert history({"web": 1}, {"web": 100}, {"web": 101}, partial=1).growth(WEB) == 1


def test_after_a_step_of_the_clock_the_growth_is_over_the_time_that_passed():
    found = history({"web": 10})
    found.add(CountedWindow(600 + 600, True, counted(web=20)))
    assert found.growth(WEB) == 1


def test_a_metric_that_may_not_have_been_counted_before_does_not_count_as_new(monkeypatch):
    monkeypatch.setattr(ledger, "METRICS_MAX", 1)
    found = history({"jobs": 5, "web": 5}, {"web": 5})
    assert found.growth(WEB) == 0


@pytest.mark.parametrize(
    ("windows", "limits", "ahead"),
    [
        ([{"web": 10}, {"web": 20}], {"series_per_metric": 100}, [(WEB, 20, 100, 8 * 60)]),
        ([{"web": 10}, {"web": 100}], {"series_per_metric": 100}, [(WEB, 100, 100, 0)]),
        ([{"web": 10}, {"web": 11}], {"series_per_metric": 100}, []),
        ([{"web": 20}, {"web": 10}], {"series_per_metric": 11}, []),
        ([{"web": 10}, {"web": 20}], {"series": 60, "series_per_metric": 10_000}, [(None, 20, 60, 34 * 6)]),
        ([{"web": 10}, {"web": 20}, {"web": 20}], {"series_per_metric": 21}, []),
        ([{"web": 10}, {"web": 20}, {"web": 20}], {"series": 23, "series_per_metric": 10_000}, []),
        ([{"web": 10}, {"web": 30}, {"web": 40}], {"series_per_metric": 100}, [(WEB, 40, 100, 6 * 60)]),
        ([{"web": 10}], {"series_per_metric": 11}, []),
        ([], {}, []),
    ],
)
def test_limits_that_are_reached_within_an_hour(windows, limits, ahead):
    configured = LimitsConfig(**{"series": 1_000_000, **limits})
    found = history(*windows).approaching(configured)
    assert [(one.metric, one.series, one.limit, round(one.seconds)) for one in found] == ahead


def test_the_next_limit_comes_first_and_the_list_is_bounded():
    names = [f"m{number}" for number in range(30)]
    found = history(dict.fromkeys(names, 1), {name: 40 - number for number, name in enumerate(names)})
    told = found.approaching(LimitsConfig(series=1_000_000, series_per_metric=50))
    assert [one.metric.name for one in told] == names[:20]
