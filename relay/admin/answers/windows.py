"""The answer of `GET /api/v1/windows/last`."""

from __future__ import annotations

import msgspec


class ClosedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A closed window: what came since the window before, and what became of its points."""

    start: str
    seconds: int
    lines: int
    rejected: dict[str, int]
    """Lines, by reason."""
    kernel_drops: int
    """Packets."""
    samples: int
    samples_dropped: dict[str, int]
    """By reason; `rule` and `forgotten` are intended."""
    series: int
    points: int
    requests: int
    delivered: int
    waiting: int
    refused: int
    dropped: dict[str, int]
    """Points, by reason."""
    late: float
    """Seconds from its end until it was stored."""
    lag: float | None
    """Seconds from its end to the first answer of the cloud; null: none so far."""


class WindowsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest closed windows, newest first."""

    windows: list[ClosedWindow]
    kept: int
    """Windows that the relay has now; at most 60."""
