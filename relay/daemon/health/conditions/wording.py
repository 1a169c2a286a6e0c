"""Phrases that several conditions use. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.wording import as_duration, as_size, plural, printable

if TYPE_CHECKING:
    from relay.daemon.health.facts import Facts, Storage

SINCE: Final = "{since}"
"""Stands in a sentence for the time at which the finding began, which the judge knows."""
_WORDS_MOST: Final = 200
_MEMORY_SHARE: Final = 64 * 1024 * 1024
"""Bytes of waiting requests that memory holds without a disk (delivery/spool/quota.py)."""
_DAYS_MOST: Final = 30


def quoted(words: str) -> str:
    """Return the cloud's words in quotes, in one line, cut."""
    shown = printable(words)
    return f'"{shown[:_WORDS_MOST]}{"..." if len(shown) > _WORDS_MOST else ""}"'


def capacity(storage: Storage) -> int:
    """Return the bytes that may wait: on disk, or in memory alone."""
    return storage.limit if storage.path and not storage.trouble else min(storage.limit, _MEMORY_SHARE)


def hours_left(facts: Facts) -> float | None:
    """Return for how many hours the space lasts if nothing is delivered; None if that is not known."""
    storage, windows = facts.storage, facts.windows[-3:]
    points = sum(window.points for window in windows)
    if not (storage.points and storage.bytes and points):
        return None
    bytes_a_second = storage.bytes / storage.points * points / (len(windows) * facts.seconds)
    return max(0, capacity(storage) - storage.bytes) / bytes_a_second / 3600


def safe(facts: Facts) -> str:
    """Return what waits, where, and for how long the space lasts; empty if nothing waits."""
    storage, hours = facts.storage, hours_left(facts)
    if not storage.points:
        return ""
    in_memory = not storage.path or bool(storage.trouble)
    where = "in memory alone, which a crash loses; memory" if in_memory else "on disk; it"
    wait = "waits" if storage.points == 1 else "wait"
    if hours is not None and hours * 3600 < 1:
        space = "is full"
    else:
        space = f"holds {as_size(capacity(storage))}" if hours is None else f"holds {_lasting(hours)} of this"
    return f"{plural(storage.points, 'point')} {wait} {where} {space}"


def _lasting(hours: float) -> str:
    return f"over {_DAYS_MOST} d" if hours > _DAYS_MOST * 24 else as_duration(hours * 3600)
