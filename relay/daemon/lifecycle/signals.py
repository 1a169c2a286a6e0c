"""Signals and service managers of a running relay: signals in, sd_notify out, and a watch on the supervisor.

SIGHUP    reload, see reload.py
SIGTERM   stop in order; SIGINT, too, without a supervisor (which turns SIGINT into SIGTERM)
SIGUSR2   hand the open window over to the next worker; the sockets stay open

A second SIGTERM or SIGINT within half a second counts as the first: `timeout` and a signal to a process group send two.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from relay.daemon.lifecycle.control import Control
from relay.daemon.lifecycle.in_force import fingerprint
from relay.supervisor import protocol
from relay.supervisor.preflight import Preflight, RefusedError, successor_plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.reload import Reloader
    from relay.daemon.lifecycle.worker import Worker

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of the supervisor; less if a third of the watchdog's interval is less."""


@asynccontextmanager
async def install_signal_handlers(relay: Relay, worker: Worker, reloader: Reloader) -> AsyncIterator[None]:
    """Handle signals and reloads of an open relay while the context is active."""
    handlers = SignalHandlers(relay, worker, reloader)
    handlers.install()
    relay.control = handlers.control
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task) for task in (handlers.watch(), reloader.run(), reloader.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await reloader.close()


class SignalHandlers:
    """State: whether the relay stops, and the preflight check of the next worker's program."""

    def __init__(self, relay: Relay, worker: Worker, reloader: Reloader) -> None:
        self._relay = relay
        self._worker = worker
        self._reloader = reloader
        self._is_stopping = False
        """Whether the relay ends, by a stop or by a hand-over."""
        self._is_stop_requested = False
        self._checking: asyncio.Task[None] | None = None
        self.control = Control(relay, reloader, self._replace)

    def install(self) -> None:
        """Install the handlers, receive pending signals, and report that the relay is ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, *(() if self._worker.supervisor else (signal.SIGINT,))):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.request)
        loop.add_signal_handler(signal.SIGUSR2, self._request_next)
        self._worker.notifier.on_message(loop, self._read_supervisor)
        protocol.unblock()
        self._worker.notifier.ready(self._relay.status.ready()[1])

    async def watch(self) -> None:
        """Check the supervisor and send the watchdog's messages, until cancelled."""
        watchdog = self._worker.notifier.watchdog
        interval = min(_CHECK_SECONDS, watchdog / 3) if watchdog else _CHECK_SECONDS
        while True:
            if self._worker.is_orphaned and not self._is_stopping:
                structlog.get_logger("relay").error("the supervisor has died, the relay stops", code="RLY501")
                self._begin_stop()
            if watchdog and self._relay.status.is_alive():
                self._worker.notifier.send(protocol.WATCHDOG)
            await asyncio.sleep(interval)

    def _stop(self) -> None:
        """Stop in order at the first signal; without a supervisor a later one has the default action.

        A supervised worker may get two for one stop, as a service manager may signal both processes. Its supervisor
        decides about a second stop.
        """
        if not self._worker.supervisor and not self._is_stop_requested:
            self._is_stop_requested = True
            loop = asyncio.get_running_loop()
            loop.call_later(protocol.REPEAT_SECONDS, self._remove_handlers)
        self._begin_stop()

    def _remove_handlers(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def _begin_stop(self) -> None:
        """Begin a stop; it overrides a hand-over, and then there is no next worker."""
        self._is_stopping = True
        self._worker.next = None
        self._worker.notifier.stopping("the open window is settled")
        self._relay.stop()

    def _read_supervisor(self, message: str) -> None:
        """Handle a message of the supervisor: it has refused a replacement, and has logged why."""
        if message.startswith(protocol.NOT_REPLACED):
            self.control.refuse(message.removeprefix(protocol.NOT_REPLACED))

    def _replace(self) -> None:
        """Ask for the next worker, as SIGUSR2 does."""
        if self._worker.supervisor:
            os.kill(self._worker.supervisor, signal.SIGUSR2)
        else:
            self._request_next()

    def _request_next(self) -> None:
        """Check the next worker's program, then hand over."""
        if not self._worker.supervisor and not self._worker.held:
            self._refuse("the sockets are its own")
        elif self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().create_task(self._check_next(), name="preflight")

    async def _check_next(self) -> None:
        """Check the program unless the supervisor has done so, save the open window to test the disk, and hand over."""
        try:
            if not self._worker.supervisor:
                result = await asyncio.to_thread(lambda: Preflight(os.environ).wait())
                plan, in_force = successor_plan(result, state=str(self._relay.state or "")), self._relay.in_force
                has_changed = fingerprint(plan.text or None) != in_force.sha256
                self._worker.next = plan._replace(generation=in_force.generation + has_changed)
        except OSError as error:
            self._refuse(f"{sys.executable} cannot be executed: {error.strerror}")
        except RefusedError as error:
            self._refuse(str(error))
        else:
            if self._relay.checkpointer:
                await self._relay.checkpointer.try_save()
            self._hand_over()

    def _hand_over(self) -> None:
        if self._is_stopping:
            return
        obstacle = self._relay.hand_over_obstacle
        if not self._relay.hand_over():
            self._worker.next = None
            self._worker.notifier.send(protocol.REFUSED)
            self._refuse(obstacle)
            return
        self._is_stopping = True
        self._reloader.stop()

    def _refuse(self, reason: str) -> None:
        event = "not replaced, nothing has changed"
        structlog.get_logger("relay").warning(event, code="RLY502", why=reason)
        self.control.refuse(reason)
