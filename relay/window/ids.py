"""Which window id belongs to a moment, given the ids already committed. Arithmetic without state.

A window is [start, start + seconds) with start divisible by seconds; its id is its start. An id closes at most once
(I2), also over restarts and steps of the clock, because the first *uncommitted* id is always the one that opens. A
start that finds no record of the last window knows nothing of the current one either: it gives it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def floor_id(wall: float, seconds: int) -> int:
    """Return the id of the window that `wall` falls into."""
    return int(wall) // seconds * seconds


def first_open_id(wall: float, seconds: int, committed: Container[int], *, unknown: int = -1) -> int:
    """Return the first id that is not committed, from the current one on: what opens at start.

    Args:
        wall: now.
        seconds: length of a window.
        committed: ids that are known as closed.
        unknown: up to this one, ids may have been closed by a process that left no record; none opens.
    """
    candidate = floor_id(wall, seconds)
    while candidate <= unknown or candidate in committed:
        candidate += seconds
    return candidate


def is_recorded(known: Iterable[int], wall: float, seconds: int) -> bool:
    """Say whether there is a record of the last window, or of this one: a relay that ran until now has left one.

    Args:
        known: ids that are committed, or of which there is a checkpoint.
        wall: now.
        seconds: length of a window.
    """
    return max(known, default=-1) >= floor_id(wall, seconds) - seconds


def is_plausible(wall: float) -> bool:
    """Say whether the clock has been set: windows never close on a clock that has not."""
    return limits.YEAR_MIN <= wall < limits.YEAR_MAX


def is_over(open_id: int, wall: float, seconds: int) -> bool:
    """Say whether the open window must close now."""
    return is_plausible(wall) and wall >= open_id + seconds


def moved_id(open_id: int, wall: float, seconds: int, committed: Container[int], *, unknown: int = -1) -> int:
    """Return the id the open window should have after the clock stepped.

    A step back of up to ten minutes keeps it (coarser for that long, but no id twice); a larger one moves it to the
    first uncommitted id from the wall minute on. A window whose time has merely not come yet because its predecessors
    are committed keeps its id as well. An implausible clock changes nothing; a window that was opened by one gets the
    id of the moment at which the clock is set: under 1970 the cloud would refuse it. An id that turns out to be
    committed, because the disk could not be read at start, is left at once. `unknown` is as in `first_open_id`.
    """
    if open_id in committed:
        return first_open_id(max(wall, float(open_id)), seconds, committed, unknown=unknown)
    if not is_plausible(wall) or (is_plausible(open_id) and wall >= open_id - limits.CLOCK_BACK_KEEP):
        return open_id
    return first_open_id(wall, seconds, committed, unknown=unknown)
