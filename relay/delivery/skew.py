"""How far this machine's clock is from the cloud's, by the Date of its answers, and whether an age can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay import limits
from relay.clock import Steps, read_http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.clock import Clock

ALARM: Final = 60.0
"""Seconds: points would fall into other minutes than they belong to; signatures fail at 15 minutes."""


def clock_skew(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Return seconds that this machine is ahead of the cloud; within a second, as a Date has no fractions.

    Args:
        headers: keys in lower case.
        wall: of this machine, when the answer came.
    """
    date = read_http_date(headers.get("date", ""))
    return None if date is None else wall - date


class Ages:
    """State: when the wall clock stepped last, or began to be watched, and how far it is from the cloud's since then.

    A clock that is ten days ahead for some seconds makes every batch too old, and what is dropped for its age never
    comes back. So nothing is old until the cloud's Date says what time it is, or the clock was steady for a minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps = Steps(clock)
        self._since = clock.monotonic()
        self._skew: float | None = None

    def __repr__(self) -> str:
        """Report the difference."""
        return f"<Ages {'not compared' if self._skew is None else f'{self._skew:.0f} s ahead'}>"

    def compare(self, skew: float) -> None:
        """Take seconds that this machine is ahead of the cloud, from an answer that came now."""
        self._look()
        self._skew = skew

    def is_old(self, window: int, max_age: float) -> bool | None:
        """Say whether a window is older than `max_age` seconds; None: by a clock that may be wrong it is.

        On a clock that is not set, nothing is old; where the cloud's Date differs, the smaller age counts.
        """
        self._look()
        wall = self._clock.wall()
        is_known = self._skew is not None or self._clock.monotonic() - self._since >= limits.WINDOW_SECONDS
        now = min(wall, wall - (self._skew or 0.0))
        if not limits.YEAR_MIN <= wall < limits.YEAR_MAX or now - window <= max_age:
            return False
        return True if is_known else None

    def _look(self) -> None:
        if self._steps.look():
            self._since, self._skew = self._clock.monotonic(), None
