"""The cost of checkpoints of the open window: CPU and lag of the event loop.

    python -m benchmarks.checkpoint [series]

Every series changes before each checkpoint, which is the worst case: 40 % counters, 30 % timers, 20 % gauges, the rest
sets and histograms. The interval between checkpoints grows with their size; the share of a core is CPU by interval.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop

from relay.clock import SystemClock
from relay.delivery.state.checkpoint import Checkpointer, CheckpointFiles
from tests.support.context import make_context
from tests.support.hotpath import make, name_all

ROUNDS = 20
CLOCK = SystemClock()


def traffic(series: int) -> list[bytes]:
    """One line of each series, 40 in a datagram."""
    dice = random.Random(0)
    kinds = dice.choices(["c", "ms", "g", "s", "h"], [40, 30, 20, 5, 5], k=series)
    lines = [b"service%d.metric%d:%d|%b" % (n % 100, n, n % 997, kind.encode()) for n, kind in enumerate(kinds)]
    return [b"\n".join(lines[start : start + 40]) for start in range(0, series, 40)]


async def watch(late: list[float]) -> None:
    """Measure the lag of the event loop, a thousand times a second."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - began - 0.001)


async def measure(series: int) -> None:
    """Feed, write checkpoints, print."""
    hotpath = make("native", series_limit=2 * series, series_per_metric=2 * series, memory=1 << 30)
    datagrams, late = traffic(series), [0.0]
    shares: list[float] = []
    worst: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        checkpointer = Checkpointer(
            CheckpointFiles(Path(directory)),
            hotpath=hotpath,
            void=lambda: (),
            interval=1.0,
            context=make_context(CLOCK),
        )
        watching = asyncio.create_task(watch(late))
        for number in range(ROUNDS + 1):
            for datagram in datagrams:
                hotpath.feed(datagram, CLOCK.wall())
            name_all(hotpath)
            await asyncio.sleep(0.01)
            late.clear()
            began = time.process_time()
            await checkpointer.save()
            if number:  # the first one includes growth of the heap
                shares.append((time.process_time() - began) / checkpointer.interval)
                worst.append(max(late, default=0.0))
        watching.cancel()
        await checkpointer.close()
    print(f"{series} series, all changed before each of {ROUNDS} checkpoints")
    print(f"  CPU          {median(shares):.1%} of a core (most {max(shares):.1%})")
    print(f"  loop late    {median(worst) * 1000:.1f} ms (most {max(worst) * 1000:.1f})")
    print(f"  interval     {checkpointer.interval:.1f} s at the end, after {ROUNDS} samples a timer")


if __name__ == "__main__":
    uvloop.run(measure(int(sys.argv[1]) if sys.argv[1:] else 100_000))
