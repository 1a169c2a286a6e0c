"""Decides what a sample's timestamp (`|T`) means: kept, late, or dropped.

A timestamp has whole seconds: it counts as equal to every time within its second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from relay import limits
from relay.model import Kind

if TYPE_CHECKING:
    from relay.hotpath.line import Group


def time_of(group: Group, now: float) -> float:
    """Return the time of a gauge's value: its timestamp, or the receive time."""
    return now if group.timestamp is None else float(group.timestamp)


def is_older(at: float, known_at: float) -> bool:
    """Say whether a gauge's value is older than the known one; `known_at` is -inf if there is none."""
    return math.isfinite(known_at) and at < math.floor(known_at)


def fate_of(group: Group, *, known_at: float, now: float, window: range, max_age: float) -> str:
    """Return "" or "late" (the sample is kept), or the reason why it is dropped.

    Args:
        group: the samples.
        known_at: time of the gauge's newest value.
        now: receive time.
        window: the seconds of the open window.
        max_age: oldest accepted timestamp outside the window, in seconds before `now`.
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
