"""Closed windows for tests."""

from __future__ import annotations

from relay.model import ClosedWindow, Kind, Rollup, Row, Series

START = 1_764_000_000
HOST = (("host", "h1"),)


class Fixed:
    """Fixed quantiles."""

    def quantile(self, q: float) -> float:
        return q * 100

    def ascending(self) -> tuple[list[float], None]:
        return [1.0, 4.5, 5.0, 9.5], None


def counter(metric="c", total=6.0, samples=3, **changes) -> Row:
    series = Series(metric, HOST, Kind.COUNTER)._replace(**changes)
    return series, Rollup(samples=samples, count=float(samples), sum=total, min=1.0, max=3.0, last=2.0)


def timer(metric="t", *, derived=False) -> Row:
    rollup = Rollup(samples=4, count=8.0, sum=40.0, min=1.0, max=9.5, last=5.0, quantiles=Fixed())
    return Series(metric, HOST, Kind.TIMER, derived), rollup


def gauge(metric="g", *, derived=False, samples=2) -> Row:
    return Series(metric, HOST, Kind.GAUGE, derived), Rollup(
        samples=samples, count=2.0, sum=30.0, min=10.0, max=20.0, last=10.0
    )


def members(metric="s", size=7.0) -> Row:
    return Series(metric, HOST, Kind.SET), Rollup(samples=9, count=1.0, sum=size, min=size, max=size, last=size)


def window(*rows: Row, seconds: int = 60) -> ClosedWindow:
    samples = sum(rollup.samples for _, rollup in rows)
    names = [series for series, _ in rows]
    return ClosedWindow(start=START, seconds=seconds, samples=samples, series=names, rows=list(rows))
