"""What a relay answers about itself as a whole: health, readiness, the books.

Read-only but for `delete`, which the console uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.ledger import balance

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relay.daemon.app import Relay
    from relay.errors import Problem
    from relay.ledger import Books
    from relay.model import Series

_STALLED: Final = 60.0
"""Seconds without progress of the closer: then /-/healthy fails, and the service manager's watchdog gets no message."""


class Status:
    """State: the time of the start, the result of the last reload, and the console's `health`."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._began = relay.context.clock.monotonic()
        self.started = relay.context.clock.wall()
        """Wall time of the start."""
        self.is_last_reload_successful = True
        """Whether the configuration on disk is the one in force."""
        self.reload_error = ""
        """Why it is not, in words; "" if it is."""
        self.cautions: Sequence[Problem] = ()
        """Warnings of the configuration in force, which need no action at once."""
        self.is_health_down = False
        """The answer of the console's `health`, set by its `health` command; nothing else depends on it."""

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._relay.context.clock.monotonic() - self._began

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses or is too slow, for the checkpoint or for the spool."""
        spool, checkpointer = self._relay.spool, self._relay.checkpointer
        return spool.degraded or (checkpointer is not None and checkpointer.is_failing)

    @property
    def oldest_unsettled(self) -> int | None:
        """Id of the oldest ended window with points that are neither delivered, refused nor dropped."""
        oldest = (self._relay.closer.oldest_closing, self._relay.spool.oldest_window)
        return min((window for window in oldest if window is not None), default=None)

    @property
    def delivery_lag(self) -> float:
        """Seconds since the start of the oldest unsettled window; if there is none, the lag of the last delivery."""
        if (oldest := self.oldest_unsettled) is None:
            return self._relay.context.ledger.delivery_lag
        return max(0.0, self._relay.context.clock.wall() - oldest)

    def books(self) -> Books:
        """Return the three equations of the ledger at this moment (I5)."""
        relay = self._relay
        tally, ledger = relay.hotpath.tally(), relay.context.ledger
        return balance(tally, ledger, spooled=relay.spool.points, in_flight=relay.pool.in_flight)

    def is_alive(self) -> bool:
        """Return whether the closer makes progress; the caller runs on the loop, so the loop does."""
        return self._without_progress() < _STALLED

    def healthy(self) -> tuple[bool, str]:
        """Return the liveness: windows open, close and are stored. An outage of the cloud does not change it."""
        if self.is_alive():
            return True, "ok"
        return False, f"windows have made no progress for {self._without_progress():.0f} s"

    def _without_progress(self) -> float:
        return self._relay.context.clock.monotonic() - self._relay.closer.active_at

    def ready(self) -> tuple[bool, str]:
        """Return the readiness, with a reason: the relay listens, is not stopping, and its open window has begun."""
        relay = self._relay
        if relay.is_stopping:
            return False, "stopping"
        if opens_in := relay.closer.opens_in():
            return False, f"nothing is sent: the window opens in {opens_in:.0f} s (RLY123)"
        sockets = len(relay.listeners) + len(relay.streams.listeners)
        return True, f"listening on {sockets} socket{'' if sockets == 1 else 's'}"

    def delete(self, series: Collection[Series]) -> None:
        """Delete series everywhere: in the open window, its checkpoint, the bases of gauges, and the idle series."""
        relay = self._relay
        found = relay.hotpath.delete(series)
        if found and relay.checkpointer:
            relay.checkpointer.record_deleted(relay.closer.open_id, found)
        relay.idle.delete(series)
