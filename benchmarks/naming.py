"""The cost of naming a new identity without rules: ordinary lines, and the worst that can be sent.

    python -m benchmarks.naming [--rounds 7]

New identities go through a hot path and the namer as in the closer, 200 at a time. The time of one identity in the best
round is printed, since other load only adds time. Naming runs on the event loop, so its queue is bounded by work
(limits.NAMING_WORK).
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from relay.config.schema import Config
from relay.daemon.build import ingest_settings, make_namer
from relay.hotpath.factory import make_hotpath
from relay.naming.ruleset import Ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.config.schema import Config as _Config

AT_ONCE = 200
ORDINARY_MOST = 5.0
WORST_MOST = 100.0
"""Targets in microseconds."""

ORDINARY: dict[str, Callable[[int], bytes]] = {
    "no tags": lambda n: b"web.req%d.latency:1|c" % n,
    "three tags, seen before": lambda n: b"web.req%d.latency:1|c|#env:prod,region:eu,role:web" % n,
    "three tags, one of them new": lambda n: b"web.req.latency:1|c|#env:prod,region:eu,user:%d" % n,
    "100 B of tags": lambda n: _tagged(n, b"", 100),
}
WORST: dict[str, Callable[[int], bytes]] = {
    "1,400 B of tags": lambda n: _tagged(n, b"", 1_400),
    "8,000 B of tags": lambda n: _tagged(n, b"", 8_000),
    "65,000 B of tags": lambda n: _tagged(n, b"", 65_000),
    "1,400 B of hostile tags": lambda n: _tagged(n, b"\xff:\xff,", 1_400),
    "8,000 B of hostile tags": lambda n: _tagged(n, b"\xff:\xff,", 8_000),
    "65,000 B of hostile tags": lambda n: _tagged(n, b"\xff:\xff,", 65_000),
    "65,000 B, one hostile tag": lambda n: _tagged(n, b"\xff", 65_000),
    "65,000 B of separators": lambda n: _tagged(n, b",", 65_000),
    "tags of 84 hostile bytes": lambda n: _tagged(n, b"\xff" * 40 + b"a-b:" + b"\xfe b " * 9 + b",", 5_300),
    "a name of 65,000 B": lambda n: b"%d" % n + b"x" * 65_000 + b":1|c",
    "a name of 65,000 hostile bytes": lambda n: b"%d" % n + b"\xff -/" * 16_200 + b":1|c",
    "a name of inline tags": lambda n: b"%d" % n + b";k=v" * 16_000 + b":1|c",
    "tags beyond ASCII, each another": lambda n: b"m:1|c|#" + ",".join(_strange(n + i) for i in range(64)).encode(),
    "tags beyond ASCII": lambda n: _tagged(n, "城市:北京,".encode(), 1_400),
}


def _strange(number: int) -> str:
    """Return a tag of 72 bytes, of characters that all differ."""
    return "".join(chr(0x4E00 + (number * 24 + at * 97) % 20_000) + ":" * (at == 11) for at in range(24))


def _tagged(number: int, tag: bytes, size: int) -> bytes:
    """Return a line with `size` bytes of tags, which are all `tag`, or have a key each if it is empty."""
    tags = (
        tag * (size // len(tag)) if tag else b",".join(b"key%d:value-%d" % (i, i + number) for i in range(size // 14))
    )
    return b"m%d:1|c|#" % number + tags[:size]


def cost(config: _Config, implementation: str, line: Callable[[int], bytes], *, first: int, count: int) -> float:
    """Return the microseconds of naming the identity of one of these lines."""
    hotpath = make_hotpath(implementation, **ingest_settings(config).hotpath)
    namer = make_namer(config, Ruleset([], re2=None))
    for number in range(first, first + count):
        hotpath.feed(line(number), 1.0)
    named = 0
    began = time.perf_counter()
    while identities := hotpath.unresolved(AT_ONCE):
        hotpath.resolve([(identity, namer.resolve(identity)) for identity in identities])
        named += len(identities)
    return (time.perf_counter() - began) / named * 1e6


def main() -> None:
    """Name every kind of line and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    config = Config()
    print(f"{'microseconds an identity':<34}{'native':>10}{'python':>10}")
    for title, lines, most in (("ordinary", ORDINARY, ORDINARY_MOST), ("worst", WORST, WORST_MOST)):
        print(f"{title}, at most {most:g}")
        for label, line in lines.items():
            count = 2_000 if lines is ORDINARY else 100
            figures = [
                min(cost(config, name, line, first=i * count, count=count) for i in range(rounds))
                for name in ("native", "python")
            ]
            print(f"  {label:<32}{figures[0]:>10.1f}{figures[1]:>10.1f}")


if __name__ == "__main__":
    main()
