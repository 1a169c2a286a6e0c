"""The answer of `GET /api/v1/history`: columns of equal length, one value a moment, oldest first."""

from __future__ import annotations

import msgspec


class HistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The last hour: every tenth second, and every second of the last five minutes. null: not known."""

    start: str
    """Time of the first moment."""
    at: list[float]
    """Seconds from the start to each moment."""
    packets: list[float | None]
    """A second, since the moment before; as are the next seven."""
    lines: list[float | None]
    rejected: list[float | None]
    kernel_drops: list[float | None]
    overflow: list[float | None]
    """Samples in overflow series."""
    rule: list[float | None]
    """Samples dropped by a rule, or deleted on the console."""
    lost_samples: list[float | None]
    lost_points: list[float | None]
    """Points dropped or refused."""
    series: list[float | None]
    """Of the last closed window."""
    series_limit: int
    requests_per_minute: list[float | None]
    """Of the last closed window."""
    requests_per_minute_limit: int
    lag: list[float | None]
    """Seconds since the start of the oldest window that waits, or of the last delivery."""
    waiting: list[float | None]
    """Points in the spool or in flight."""
