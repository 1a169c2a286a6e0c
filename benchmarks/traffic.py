"""The lines that benchmarks send: 1,000 metrics, half counters, two fifths timers with tags, a tenth gauges."""

from __future__ import annotations

import random

LINES = 200_000
METRICS = 1_000
SHAPES = {"full": 1432, "ten": 10, "single": 1}
"""full: as many lines as fit 1,432 bytes, an Ethernet frame's; ten and single: so many lines."""


def line(rng: random.Random) -> bytes:
    """One line."""
    number = rng.randrange(METRICS)
    metric = b"app.service%d.metric%d" % (number % 20, number)
    pick = rng.random()
    if pick < 0.5:
        return b"%b:%d|c" % (metric, rng.choice((1, 1, 1, 2, 5)))
    if pick < 0.9:
        return b"%b.time:%d|ms|#env:prod,service:a" % (metric, rng.randrange(1000))
    return b"%b.level:%.2f|g" % (metric, rng.random() * 100)


def datagrams(shape: str, lines: int = LINES, seed: int = 1) -> list[bytes]:
    """Return datagrams of a shape that hold so many lines."""
    rng = random.Random(seed)
    every = [line(rng) for _ in range(lines)]
    if shape != "full":
        size = SHAPES[shape]
        return [b"\n".join(every[start : start + size]) for start in range(0, lines, size)]
    packed, chosen, size = [], [], 0
    for one in every:
        if size + len(one) + 1 > SHAPES["full"]:
            packed.append(b"\n".join(chosen))
            chosen, size = [], 0
        chosen.append(one)
        size += len(one) + 1
    return [*packed, b"\n".join(chosen)]
