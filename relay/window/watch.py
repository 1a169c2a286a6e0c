"""Tells what the wall clock does to windows: that it stepped, and that the open window has to wait for its time.

Ids that are committed never open again, so after a clock that was ahead the first free id may begin hours from now.
Nothing is lost meanwhile, but nothing is sent either: the relay is not ready, and the log says until when.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from relay.clock import Steps

if TYPE_CHECKING:
    from relay.clock import Clock
    from relay.ledger import LossLog

_INTERVAL: Final = 0.5


class Closer(Protocol):
    """Whose window is watched."""

    open_id: int

    def opens_in(self) -> float:
        """Seconds until the open window begins, if that is later than the next edge; else 0."""
        ...


class ClockWatch:
    """State: the steps, and the window whose wait was told of."""

    def __init__(self, closer: Closer, *, loss_log: LossLog, clock: Clock) -> None:
        self._closer = closer
        self._loss_log = loss_log
        self._clock = clock
        self._steps = Steps(clock)
        self._told: int | None = None

    def __repr__(self) -> str:
        """Report the parts."""
        return f"<ClockWatch {self._steps!r}>"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(_INTERVAL)

    def look(self) -> None:
        """Warn of a step, with its size, and once of each window that has to wait."""
        step = self._steps.look()
        if step:
            direction = "forward" if step > 0 else "back"
            self._loss_log.warn("RLY123 the wall clock stepped", reason=direction, seconds=round(step, 1))
        waits, window = self._closer.opens_in(), self._closer.open_id
        if waits and window != self._told:
            opens = datetime.fromtimestamp(window, UTC).isoformat()
            event = "RLY124 window opens later, ids until then are committed"
            self._loss_log.warn(event, reason="ahead", opens_at=opens, window=window, seconds=round(waits))
        self._told = window if waits else None
