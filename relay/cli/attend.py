"""A running relay and the outside: signals in, sd_notify out, and an eye on the supervisor.

SIGHUP    reload, see reloading.py
SIGTERM   stop in order; SIGINT too, unless a supervisor passes on what it means
SIGUSR2   hand the open window over to the worker that comes next; the sockets stay open
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from relay import notify, signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay.app import Relay
    from relay.cli.reloading import Reloader
    from relay.worker import Worker

_LOOK: Final = 1.0
"""Seconds between two looks at the supervisor; the watchdog is told three times in its interval, or as often."""


@asynccontextmanager
async def attend(relay: Relay, worker: Worker, reloader: Reloader) -> AsyncIterator[None]:
    """Attend to a relay that is open, while it runs."""
    attendant = Attendant(relay, worker, reloader)
    attendant.begin()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task) for task in (attendant.look(), reloader.run(), reloader.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


class Attendant:
    """State: whether the relay was told to stop."""

    def __init__(self, relay: Relay, worker: Worker, reloader: Reloader) -> None:
        self._relay = relay
        self._worker = worker
        self._reloader = reloader
        self._is_stopping = False

    def __repr__(self) -> str:
        """Report the stop."""
        return f"<Attendant {'stopping' if self._is_stopping else 'running'}>"

    def begin(self) -> None:
        """Take the signals, those that waited for it too, and say that the relay is ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, *(() if self._worker.supervisor else (signal.SIGINT,))):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.ask)
        loop.add_signal_handler(signal.SIGUSR2, self._hand_over)
        signals.take()
        self._worker.notifier.ready(self._relay.status.ready()[1])

    async def look(self) -> None:
        """Look after both sides until cancelled."""
        watchdog = self._worker.notifier.watchdog
        interval = min(_LOOK, watchdog / 3) if watchdog else _LOOK
        while True:
            if self._worker.is_orphaned and not self._is_stopping:
                structlog.get_logger("relay").warning("RLY501 the supervisor has died, stopping in order")
                self._begin_stop()
            if watchdog and self._relay.status.is_alive():
                self._worker.notifier.send(notify.WATCHDOG)
            await asyncio.sleep(interval)

    def _stop(self, number: signal.Signals) -> None:
        """First signal: in order. Second: the default action; a supervised worker leaves that to the supervisor.

        Its own second one may be the first as well: a service manager may signal both processes.
        """
        if not self._worker.supervisor:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        self._begin_stop()

    def _begin_stop(self) -> None:
        """Also while the window is handed over: then nobody comes next."""
        self._is_stopping = True
        self._worker.notifier.stopping("the open window is settled")
        self._relay.stop()

    def _hand_over(self) -> None:
        if self._is_stopping:
            return
        if not self._worker.held or not self._relay.hand_over():
            reason = "the sockets are its own" if not self._worker.held else self._relay.hand_over_obstacle
            structlog.get_logger("relay").warning("RLY502 not replaced, nothing has changed", reason=reason)
            return
        self._is_stopping = True
