"""What the time of a sample (`|T`) makes of it. A time has whole seconds: it is as new as any in its second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from relay import limits
from relay.model import Kind

if TYPE_CHECKING:
    from relay.hotpath.line import Group


def time_of(group: Group, now: float) -> float:
    """Return the time of a gauge's value: its own, or when it is received."""
    return now if group.timestamp is None else float(group.timestamp)


def is_older(at: float, known_at: float) -> bool:
    """Say whether a gauge's value is older than one that is known; -inf: none is."""
    return math.isfinite(known_at) and at < math.floor(known_at)


def fate_of(group: Group, *, known_at: float, now: float, window: range, max_age: float) -> str:
    """Return "" or "late" (the sample is kept), or the reason why it is dropped.

    Args:
        group: the sample.
        known_at: time of a gauge's newest value.
        now: when it is received.
        window: the seconds of the open window.
        max_age: seconds.
    """
    timestamp = group.timestamp
    if timestamp is None:
        return ""
    is_inside = timestamp in window
    if not is_inside and timestamp < now - max_age:
        return "too_old"
    if not is_inside and timestamp > now + limits.TIMESTAMP_AHEAD:
        return "too_far_ahead"
    if group.kind is Kind.GAUGE and is_older(timestamp, known_at):
        return "late_gauge"
    return "" if is_inside else "late"
