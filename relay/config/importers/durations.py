"""Durations as Go writes them."""

from __future__ import annotations

import re
from typing import Final

from relay.config.types import Seconds, to_toml

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 100
"""Characters of a duration; the time that looking for pieces takes grows with their square."""
_PIECE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")


def keep_for(seconds: float) -> str:
    """Return `keep:5m`, as `window.idle_gauges` has it."""
    return f"keep:{to_toml(Seconds(seconds)).strip(chr(34))}"


def read_duration(value: object) -> float | None:
    """Return `1m20s`, `-1`, or a number of nanoseconds, in seconds; None if it is no duration."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and len(value) > _LONGEST:
        return None
    text = str(value).strip()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    pieces = _PIECE.findall(digits)
    if pieces and "".join(number + unit for number, unit in pieces) == digits:
        return sign * sum(float(number) * _UNITS[unit] for number, unit in pieces)
    return sign * int(digits) * 1e-9 if digits.isascii() and digits.isdecimal() else None
