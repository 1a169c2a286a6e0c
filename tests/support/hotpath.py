"""A hot path with a simple naming: names resolve to themselves, tags to one dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay import limits
from relay.hotpath.python.hotpath import PythonHotPath
from relay.model import Identity, Kind, NoSeries, Resolution, Rollup, Series

if TYPE_CHECKING:
    from relay.hotpath.contract import HotPath

chosen = "native"
"""The implementation that `make` builds; see tests/conftest.py."""

START = 1_764_000_000
NOW = START + 1.0


def catch_all(kind: Kind) -> Series:
    return Series(f"overflow.{kind}", (), kind)


SETTINGS = {
    "series_limit": 1000,
    "series_per_metric": 100,
    "memory": 64 << 20,
    "window_seconds": 60,
    "max_age": 86_400.0,
    "idle_gauge_ttl": 120.0,
    "exact_samples": 64,
    "gauge_deltas": True,
    "separators": ";,",
    "catch_all": catch_all,
}


def make(implementation: str | None = None, **changes) -> HotPath:
    hotpath = implementation_of(implementation or chosen)(**{**SETTINGS, **changes})
    hotpath.open_window(START)
    return hotpath


def implementation_of(name: str):
    if name == "python":
        return PythonHotPath
    from relay.hotpath.native._native import NativeHotPath

    return NativeHotPath


def answer(identity: Identity) -> Resolution | NoSeries:
    """Reject `reserved.*`, drop `dropped.*`; other names stay up to an inline tag, and the sorted tags are the
    dimension."""
    name, inline = identity.name.decode("latin-1"), ""
    if "=" in name.partition(";")[2].partition(";")[0]:
        name, _, inline = name.partition(";")
    if name.startswith("reserved."):
        return NoSeries("reserved_name", rejects=True)
    if name.startswith("dropped."):
        return NoSeries("rule", rejects=False)
    if identity.tags == limits.STAND_IN:
        overflow = Series(name, (("overflow", "true"),), identity.kind)
        return Resolution(overflow, overflow)
    section = [*filter(None, inline.split(";")), *identity.tags.decode("latin-1").split(",")]
    tags = ",".join(sorted(section)).replace("\0", "0")
    series = Series(name, (("tags", tags),), identity.kind)
    return Resolution(series, series._replace(dimensions=(("overflow", "true"),)))


def name_all(hotpath: HotPath) -> None:
    while identities := hotpath.unresolved(100):
        hotpath.resolve([(identity, answer(identity)) for identity in identities])


def close(hotpath: HotPath, next_start: int = START + 60) -> dict[tuple[str, Kind, str], Rollup]:
    hotpath.close_window(next_start)
    name_all(hotpath)
    assert hotpath.settled()
    window = hotpath.closed_window()
    rows = {(s.metric, s.kind, s.dimensions[0][1] if s.dimensions else ""): rollup for s, rollup in window.rows}
    assert window.samples == sum(rollup.samples for rollup in rows.values())
    return rows


def exported(hotpath: HotPath, *, changed: bool = False) -> bytes:
    """Return the open window in the format of a checkpoint file."""
    return b"".join(frame for _, frame in hotpath.export(changed=changed))


def imbalance(hotpath: HotPath, closed: int = 0) -> int:
    """Return the differences of the equations for lines and samples; `closed` samples were handed out."""
    tally = hotpath.tally()
    lines = tally.received - tally.accepted - tally.events - sum(tally.rejected.values())
    samples = tally.samples_accepted - closed - tally.samples_open - sum(tally.samples_dropped.values())
    return abs(lines) + abs(samples)
