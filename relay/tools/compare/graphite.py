"""Parses Graphite's plaintext protocol, as far as StatsD daemons write it: lines of `name value time`.

The input is untrusted. A line with a value that is not a finite number, or with a time outside of this century, is not
parsed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from relay import limits

LINE_MOST: Final = 8192
"""Bytes; longer than any line that a daemon makes of a real metric."""


class Measure(NamedTuple):
    """One line."""

    name: str
    value: float
    time: int
    """Unix seconds, by the daemon's clock."""


def parse(line: bytes) -> Measure | None:
    """Parse a line; None if the line is not Graphite's."""
    fields = line.decode("utf-8", "replace").split()
    if len(fields) != 3:
        return None
    try:
        value, time = float(fields[1]), float(fields[2])
    except ValueError:
        return None
    if not (math.isfinite(value) and limits.YEAR_MIN <= time < limits.YEAR_MAX):
        return None
    return Measure(fields[0], value, int(time))
