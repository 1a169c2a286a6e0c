"""Restart policy after the unexpected end of a worker: restart at once or later, or give up. Pure; time is an argument.

- A worker that ended at least `min_uptime` seconds after it was ready: the next one starts at once.
- A worker that ended earlier: the next one starts after a delay that grows with each such end.
- The fifth early end in a row is a crash loop: the supervisor gives up.
- The first worker ended with one of `MISTAKES` before it was ready: the supervisor gives up at once. The cause is a
  user's mistake, which the worker has reported; another try would report it again.
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
    """Early ends in a row."""


class GiveUp(NamedTuple):
    """End the supervisor with an exit code."""

    code: int
    failures: int


def exit_code(status: int) -> int:
    """Return the supervisor's exit code for a worker's `status` (negative: killed by that signal)."""
    return status if 0 < status < 128 else int(ExitCode.INTERNAL)


class RestartPolicy:
    """State: the number of early ends in a row, and whether any worker was ready."""

    def __init__(self, *, min_uptime: float) -> None:
        self._min_uptime = min_uptime
        self._failures = 0
        self.was_ready = False
        """Whether any worker was ready."""

    def ready(self) -> None:
        """Record that the present worker is ready."""
        self.was_ready = True

    def ended(self, status: int, *, age: float | None) -> Restart | GiveUp:
        """Decide after an unexpected end of the worker.

        Args:
            status: exit code, or minus the signal that killed the worker.
            age: seconds since the worker was ready; None: it never was.
        """
        if age is None and not self.was_ready and not self._failures and status in MISTAKES:
            return GiveUp(status, 1)
        if age is not None and age >= self._min_uptime:
            self._failures = 0
            return Restart(0.0, 0)
        self._failures += 1
        if self._failures >= MOST_IN_A_ROW:
            return GiveUp(exit_code(status), self._failures)
        return Restart(backoff(self._failures), self._failures)


def backoff(failures: int) -> float:
    """Return the seconds before the next start: 0 after the first failure, then doubling."""
    return 0.0 if failures <= 1 else min(_MOST_DELAY, _FIRST_DELAY * 2.0 ** (failures - 2))
