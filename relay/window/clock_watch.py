"""Logs steps of the wall clock (RLY124), and an open window that begins in the future (RLY123).

Committed ids never open again. So after the clock was ahead, the first free id may begin hours from now. Until then
samples are kept and nothing is sent: the relay is not ready, and the log says when the window begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from relay.clock import Steps

if TYPE_CHECKING:
    from relay.context import Context

_INTERVAL: Final = 0.5


class Closer(Protocol):
    """The part of the closer that is watched."""

    open_id: int

    def opens_in(self) -> float:
        """Return the seconds until the open window begins, if that is more than one window ahead; else 0."""
        ...


class ClockWatch:
    """State: the detector of steps, and the id of the waiting window already logged."""

    def __init__(self, closer: Closer, context: Context) -> None:
        self._closer = closer
        self._clock, self._loss_log = context.clock, context.loss_log
        self._steps = Steps(self._clock)
        self.step = 0.0
        """Seconds by which the clock stepped last; negative: back."""
        self.stepped_at = 0.0
        """Wall time after that step; 0: none so far."""
        self._logged: int | None = None

    async def run(self) -> None:
        """Check twice a second until cancelled."""
        while True:
            self.check()
            await self._clock.sleep(_INTERVAL)

    def check(self) -> None:
        """Warn of a step with its size, and once of each open window that begins in the future."""
        step = self._steps.poll()
        if step:
            self.step, self.stepped_at = step, self._steps.wall
            direction = "forward" if step > 0 else "back"
            self._loss_log.warn("the wall clock stepped", code="RLY124", subject=direction, step_seconds=round(step, 1))
        waits, window = self._closer.opens_in(), self._closer.open_id
        if waits and window != self._logged:
            event = "the window opens later, those until then are committed"
            self._loss_log.warn(event, code="RLY123", window=window, opens_in_seconds=round(waits))
        self._logged = window if waits else None
