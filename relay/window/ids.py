"""Computes window ids from the clock and the committed ids. Pure.

A window is [start, start + seconds) with start divisible by seconds; its id is its start. Invariant (I2): an id closes
at most once, also over restarts and steps of the clock, because only uncommitted ids open. At a start without a record
of the last window, the points of the current window may have been sent already, so the next id opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_STEP_BACK_MAX: Final = 600
"""Seconds a wall clock may step back before the open window is moved to another id."""


def floor_id(wall: float, seconds: int) -> int:
    """Return the id of the window that contains `wall`."""
    return int(wall) // seconds * seconds


def first_open_id(wall: float, seconds: int, committed: Container[int], *, last_unrecorded: int = -1) -> int:
    """Return the first uncommitted id, from the current window on: the window that opens at start.

    Args:
        wall: current wall time.
        seconds: length of a window.
        committed: ids of closed windows.
        last_unrecorded: newest id that an earlier process may have closed without a record; only later ids open.
    """
    candidate = floor_id(wall, seconds)
    while candidate <= last_unrecorded or candidate in committed:
        candidate += seconds
    return candidate


def is_recorded(known: Iterable[int], wall: float, seconds: int) -> bool:
    """Return whether the last window, or the current one, has a record, as a relay that ran until now leaves it.

    Args:
        known: ids that are committed or have a checkpoint.
        wall: current wall time.
        seconds: length of a window.
    """
    return max(known, default=-1) >= floor_id(wall, seconds) - seconds


def is_plausible(wall: float) -> bool:
    """Return whether the clock shows a plausible year; windows close only then."""
    return limits.YEAR_MIN <= wall < limits.YEAR_MAX


def is_over(open_id: int, wall: float, seconds: int) -> bool:
    """Return whether the open window must close now."""
    return is_plausible(wall) and wall >= open_id + seconds


def moved_id(open_id: int, wall: float, seconds: int, committed: Container[int], *, last_unrecorded: int = -1) -> int:
    """Return the id that the open window should have after a step of the clock.

    - Step back of up to ten minutes: the id stays; one window covers the repeated time, and no id is used twice.
    - Larger step back: the first uncommitted id from the current minute on. If the ids until then are committed, this
      is the same id again.
    - Implausible clock: the id stays.
    - Plausible clock after an implausible one: the id of the current time, since the cloud refuses times of 1970.
    - Open id found to be committed (the disk could not be read at start): the next uncommitted id, at once.

    `last_unrecorded`: see `first_open_id`.
    """
    if open_id in committed:
        return first_open_id(max(wall, float(open_id)), seconds, committed, last_unrecorded=last_unrecorded)
    if not is_plausible(wall) or (is_plausible(open_id) and wall >= open_id - _STEP_BACK_MAX):
        return open_id
    return first_open_id(wall, seconds, committed, last_unrecorded=last_unrecorded)
