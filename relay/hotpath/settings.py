"""What both hot paths are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.model import Kind, Series


class Settings(TypedDict):
    """What a hot path is made with; both implementations take it as keywords."""

    series_limit: int
    series_per_metric: int
    memory: int
    """Bytes."""
    window_seconds: int
    max_age: float
    """Seconds; older samples are dropped."""
    idle_gauge_ttl: float
    """Seconds that an idle gauge repeats; 0 not at all, infinity for ever."""
    exact_samples: int
    """A timer keeps so many as they came before it uses bins: 4 times a power of two, 32,768 at most."""
    gauge_deltas: bool
    """A gauge's number with a sign is a delta; False: it is the value."""
    separators: str
    """Characters that may stand before an inline tag: what is before the first one is a metric's name."""
    catch_all: Callable[[Kind], Series]
    """Names the series of last resort of a class."""


def delta_signs(settings: Settings) -> bytes:
    """Return the signs that make a gauge's number a delta."""
    return b"+-" if settings["gauge_deltas"] else b""


class AliasLimits(TypedDict):
    """Bounds of what is remembered of identities, and what may stand before an inline tag."""

    limit: int
    memory: int
    separators: bytes


def alias_limits(settings: Settings) -> AliasLimits:
    """Return them."""
    return {
        "limit": settings["series_limit"] * limits.IDENTITIES_PER_SERIES,
        "memory": int(settings["memory"] * limits.ALIASES_SHARE),
        "separators": settings["separators"].encode(),
    }


def waiting_limits(settings: Settings) -> dict[str, int]:
    """Return the bounds of what waits for names in a window."""
    return {
        "limit": settings["series_limit"],
        "memory": int(settings["memory"] * limits.WAITING_SHARE),
        "exact_samples": settings["exact_samples"],
    }


def table_limits(settings: Settings) -> dict[str, int]:
    """Return the bounds of a window's table."""
    return {
        "series_limit": settings["series_limit"],
        "series_per_metric": settings["series_per_metric"],
        "memory": int(settings["memory"] * limits.TABLES_SHARE),
        "exact_samples": settings["exact_samples"],
    }
