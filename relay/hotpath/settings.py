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
    catch_all: Callable[[Kind], Series]
    """Names the series of last resort of a class."""


def delta_signs(settings: Settings) -> bytes:
    """Return the signs that make a gauge's number a delta."""
    return b"+-" if settings["gauge_deltas"] else b""


def alias_limit(settings: Settings) -> int:
    """Return how many identities are remembered."""
    return settings["series_limit"] * limits.IDENTITIES_PER_SERIES
