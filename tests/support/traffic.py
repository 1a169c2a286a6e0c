"""Traffic as applications send it: 10,000 series, Zipf; 40 % c, 30 % ms, 20 % g, 5 % s, 5 % h; with tags if asked."""

from __future__ import annotations

import random
import struct
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LINES = 200_000
SERIES = 10_000
SHAPES = {"full": 1432, "ten": 10, "single": 1, "tagged": 1432}
"""full: as many lines as fit 1,432 bytes, an Ethernet frame's; ten and single: that number of lines; tagged: full
datagrams of lines with three tags."""
_KINDS = (("c", 40), ("ms", 30), ("g", 20), ("s", 5), ("h", 5))


def lines(count: int, seed: int = 1, *, tagged: bool = False) -> list[bytes]:
    """Return `count` lines, the same for the same seed."""
    rng = random.Random(seed)
    kinds = rng.choices([kind for kind, _ in _KINDS], [share for _, share in _KINDS], k=SERIES)
    ranks = list(accumulate(1 / rank for rank in range(1, SERIES + 1)))
    chosen = rng.choices(range(SERIES), cum_weights=ranks, k=count)
    tags = [b"|#env:prod,region:cn-north-%d,host:web-%d" % (n % 3, n % 97) if tagged else b"" for n in range(SERIES)]
    return [
        b"app%d.service.metric%d:%b|%b%b" % (n % 10, n, value(rng, kinds[n]), kinds[n].encode(), tags[n])
        for n in chosen
    ]


def value(rng: random.Random, kind: str) -> bytes:
    """Return a value such as applications send: mostly ones, latencies, levels, users."""
    match kind:
        case "c":
            return b"%d" % rng.choice((1, 1, 1, 1, 2, 5, 10))
        case "ms":
            return b"%d" % rng.lognormvariate(4, 1)
        case "g":
            return b"%d" % rng.randrange(10_000)
        case "s":
            return b"user%d" % rng.randrange(5_000)
        case _:
            return b"%.1f" % rng.lognormvariate(3, 1)


def datagrams(shape: str, count: int = LINES) -> list[bytes]:
    """Return datagrams of a shape that hold `count` lines together."""
    every = lines(count, tagged=shape == "tagged")
    if shape in ("ten", "single"):
        size = SHAPES[shape]
        return [b"\n".join(every[start : start + size]) for start in range(0, count, size)]
    return pack(every)


def pack(every: Iterable[bytes]) -> list[bytes]:
    """Return lines in datagrams that are as full as an Ethernet frame allows."""
    packed: list[bytes] = []
    chosen: list[bytes] = []
    room = SHAPES["full"]
    for line in every:
        if len(line) + 1 > room:
            packed.append(b"\n".join(chosen))
            chosen, room = [], SHAPES["full"]
        chosen.append(line)
        room -= len(line) + 1
    return [*packed, b"\n".join(chosen)]


def write(sent: Sequence[bytes], path: Path) -> Path:
    """Write datagrams in the format that load.c reads."""
    path.write_bytes(b"".join(struct.pack("<H", len(datagram)) + datagram for datagram in sent))
    return path
