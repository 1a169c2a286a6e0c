"""The cost of closing a window: timers of both styles, idle series, and the longest slice of the event loop.

    python -m benchmarks.close

It covers everything from the swap of tables to a spool that stores nothing; no sockets. CPU seconds are those of the
thread, which other processes change less than time. A slice is the work between two yields to other tasks.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from relay.clock import SystemClock
from relay.config.schema import CloudConfig, Config, LimitsConfig, WindowConfig
from relay.daemon.build import ingest_settings, make_encoder, make_idle, make_namer, make_rules
from relay.daemon.egress import pack_requests
from relay.hotpath.factory import make_hotpath
from relay.window.closer import NAMES_PER_SLICE, Closer
from relay.window.protocols import Pipeline
from tests.support.context import make_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.hotpath.contract import HotPath
    from relay.model import Batch
    from relay.naming import Namer
    from relay.window.protocols import WindowReport

LINES = 50
"""Lines of a datagram."""


class Case(NamedTuple):
    """One window."""

    series: int
    samples: int
    """Samples of each timer."""
    style: str = "plain"
    idle: str = "none"
    is_idle: bool = False
    """The measured window is empty; the one before was not."""


CASES = [
    Case(10_000, 20),
    Case(10_000, 20, "statsd"),
    Case(10_000, 200),
    Case(10_000, 200, "statsd"),
    Case(1_000, 2_000, "statsd"),
    Case(1_000, 5_000, "statsd"),
    Case(50_000, 1),
    Case(50_000, 1, idle="zero"),
    Case(50_000, 1, idle="zero", is_idle=True),
]


class NullSpool:
    """State: ids of windows."""

    def __init__(self) -> None:
        self.committed: set[int] = set()

    async def store(self, window: int, _batches: Sequence[Batch], _state: Mapping[str, bytes], **_: int) -> None:
        """Record the id only."""
        self.committed.add(window)


class SliceClock(SystemClock):
    """State: the longest time, in CPU seconds of this thread, between two sleeps."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.since = time.thread_time()

    async def sleep(self, seconds: float) -> None:
        """Yield, after measuring the time since the last yield."""
        self.longest = max(self.longest, time.thread_time() - self.since)
        await super().sleep(seconds)
        self.since = time.thread_time()


def main() -> None:
    """Run every case, with the garbage collector set as in a relay."""
    gc.set_threshold(20_000, 50, 1_000_000)
    print("series  samples  style   idle    CPU s  longest slice ms  points  requests")
    for case in CASES:
        closed, cpu, longest = asyncio.run(run(case))
        idle = "all" if case.is_idle else case.idle
        print(
            f"{case.series:>6}{case.samples:>9}  {case.style:<8}{idle:<6}{cpu:>7.2f}{longest * 1000:>18.1f}"
            f"{closed.points:>8}{closed.requests:>10}"
        )


async def run(case: Case) -> tuple[WindowReport, float, float]:
    """Fill a window and close it; return the report, CPU seconds and the longest slice."""
    window = msgspec.structs.replace(WindowConfig(), percentile_style=case.style, percentiles=[90.0], idle=case.idle)
    cloud = CloudConfig(requests_per_minute=1_000_000)  # nothing is shed
    config = msgspec.structs.replace(Config(), window=window, limits=LimitsConfig(series=2 * case.series), cloud=cloud)
    settings = ingest_settings(config)
    hotpath = make_hotpath(settings.implementation, **settings.hotpath)
    clock, closed = SliceClock(), list["WindowReport"]()
    context = make_context(clock)
    namer = make_namer(config, make_rules(config), ledger=context.ledger)
    closer = Closer(
        seconds=60,
        hotpath=hotpath,
        pipeline=Pipeline(namer, make_encoder(config, make_idle(config)).encode_window),
        pack=lambda points, window: pack_requests(points, window.start),
        spool=NullSpool(),
        context=context,
        on_closed=closed.append,
    )
    fill(hotpath, namer, case)
    if case.is_idle:
        await closer.close()
    clock.longest, clock.since = 0.0, time.thread_time()
    began = time.thread_time()
    await closer.close()
    return closed[-1], time.thread_time() - began, clock.longest


def fill(hotpath: HotPath, namer: Namer, case: Case) -> None:
    """Feed the samples of each timer."""
    rng = random.Random(1)
    for _ in range(case.samples):
        for first in range(0, case.series, LINES):
            lines = [b"lat.t%d:%d|ms" % (number, rng.randrange(1, 5000)) for number in range(first, first + LINES)]
            hotpath.feed(b"\n".join(lines), time.time())
        while identities := hotpath.unresolved(NAMES_PER_SLICE):
            hotpath.resolve([(identity, namer.resolve(identity)) for identity in identities])


if __name__ == "__main__":
    main()
