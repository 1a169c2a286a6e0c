"""What a worker's end means: start another one, later or at once, or give up. Decisions only; time is an argument.

A worker that lived on for `steady` seconds after it was ready has proved itself: whatever ends it, the next one starts
at once. Those that die younger wait longer and longer for their successor, and the fifth in a row is the last: what
cannot run should not pretend to. The very first worker that ends with one of `MISTAKES` before it was ready has met a
mistake of a person, and has said so: trying again would only say it five times.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from relay.errors import ExitCode

MOST_IN_A_ROW: Final = 5
_FIRST_DELAY: Final = 0.25
_MOST_DELAY: Final = 5.0
MISTAKES: Final = (ExitCode.USAGE, ExitCode.BIND_OR_STATE, ExitCode.CREDENTIALS_REFUSED, ExitCode.CONFIGURATION)


class Restart(NamedTuple):
    """Start another worker."""

    delay: float
    failures: int
    """In a row, of workers that were young."""


class GiveUp(NamedTuple):
    """End, with the last worker's code."""

    code: int
    failures: int


def exit_code(status: int) -> int:
    """Return what the supervisor ends with for a worker that ended with `status` (negative: by that signal)."""
    return status if 0 < status < 128 else int(ExitCode.INTERNAL)


class RestartPolicy:
    """State: how many workers in a row died young, and whether any was ever ready."""

    def __init__(self, *, steady: float) -> None:
        self._steady = steady
        self._failures = 0
        self.was_ready = False
        """A worker worked."""

    def __repr__(self) -> str:
        """Report the failures."""
        return f"<RestartPolicy {self._failures} failures in a row>"

    def ready(self) -> None:
        """The present worker works."""
        self.was_ready = True

    def ended(self, status: int, *, age: float | None) -> Restart | GiveUp:
        """Decide after a worker that nobody asked to end.

        Args:
            status: its exit code, or minus the signal that killed it.
            age: seconds since it was ready; None: it never was.
        """
        if age is None and not self.was_ready and not self._failures and status in MISTAKES:
            return GiveUp(status, 1)
        if age is not None and age >= self._steady:
            self._failures = 0
            return Restart(0.0, 0)
        self._failures += 1
        if self._failures >= MOST_IN_A_ROW:
            return GiveUp(exit_code(status), self._failures)
        return Restart(backoff(self._failures), self._failures)


def backoff(failures: int) -> float:
    """Return the seconds before the next start: none after the first failure, then doubling."""
    return 0.0 if failures <= 1 else min(_MOST_DELAY, _FIRST_DELAY * 2.0 ** (failures - 2))
