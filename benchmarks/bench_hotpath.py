"""Speed of both hot paths in one process: lines a second and nanoseconds a line, best of five passes.

    python -m benchmarks.bench_hotpath

It measures `feed` only: no socket, one window with known series. compare.py measures whole servers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relay.hotpath.native._native import NativeHotPath
from relay.hotpath.python.hotpath import PythonHotPath
from relay.model import Identity, Kind, Resolution, Series
from tests.support.traffic import LINES, SHAPES, datagrams

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSES = 5
NOW = 1_764_000_000.0


def main() -> None:
    """Print a table."""
    print(f"{'':<20}{'lines/s/core':>14}{'ns/line':>10}")
    for implementation in (NativeHotPath, PythonHotPath):
        for shape in SHAPES:
            seconds = bench_feed(implementation, datagrams(shape))
            print(
                f"{implementation.name + ', ' + shape:<20}{LINES / seconds:>14,.0f}{seconds / LINES * 1e9:>10.0f}",
                flush=True,
            )


def bench_feed(implementation: type[NativeHotPath | PythonHotPath], sent: Sequence[bytes]) -> float:
    """Return the seconds of the fastest pass over all lines."""
    hotpath = implementation(
        series_limit=50_000,
        series_per_metric=10_000,
        memory=512 << 20,
        window_seconds=60,
        max_age=86_400,
        idle_gauge_ttl=3600,
        exact_samples=64,
        gauge_deltas=True,
        separators=";,",
        catch_all=lambda kind: Series(f"overflow.{kind}", (), kind),
    )
    hotpath.open_window(int(NOW))
    best = float("inf")
    for number in range(PASSES + 2):
        began = time.perf_counter()
        for datagram in sent:
            hotpath.feed(datagram, NOW)
        if number > 1:
            best = min(best, time.perf_counter() - began)
        while waiting := hotpath.unresolved(1000):
            hotpath.resolve([(identity, resolve(identity)) for identity in waiting])
    if hotpath.tally().accepted != LINES * (PASSES + 2):
        raise RuntimeError(f"lines were lost: {hotpath.tally()}")
    return best


def resolve(identity: Identity) -> Resolution:
    """Name an identity after itself."""
    series = Series(identity.name.decode(), (("tags", identity.tags.decode()),), Kind(identity.kind))
    return Resolution(series, series)


if __name__ == "__main__":
    main()
