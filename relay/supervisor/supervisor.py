"""The supervisor's event loop: one thread waits for signals, for messages of the worker and for ends of children.

    SIGTERM, SIGINT   the worker stops in order, then the supervisor ends; a second one over 0.5 s later ends both
    SIGHUP            passed on: a worker reloads in process; if it ends before that, the next worker gets the signal;
                      if the terminal of the start was closed: a stop, as by SIGTERM
    SIGUSR2           the program and the configuration on disk are checked; then the worker hands its window over to
                      another worker
    a worker's end    the next one starts, at once or later, or the supervisor gives up (restarts.py); the sockets stay
                      open

A worker with other addresses in its new configuration requests a replacement by a message. Each replacement begins with
a preflight check (preflight.py); then the new sockets are opened. If either fails, nothing changes (RLY502). A worker
is always started with the configuration accepted last (last_good.py), even if the file on disk has changed since.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.errors import ExitCode, RelayError
from relay.listener.socket_activation import read_text
from relay.listener.sockets import open_sockets
from relay.supervisor.last_good import LastGoodConfig
from relay.supervisor.log import SupervisorLog
from relay.supervisor.log_format import as_date
from relay.supervisor.messages import Messages
from relay.supervisor.plan import Plan
from relay.supervisor.preflight import Preflight, RefusedError, successor_plan
from relay.supervisor.process import start_worker
from relay.supervisor.protocol import (
    HOLD,
    NOT_REPLACED,
    OURS,
    READY,
    REBIND,
    REFUSED,
    REPEAT_SECONDS,
    STOPPING,
    Notifier,
    is_stop_pending,
)
from relay.supervisor.restarts import GiveUp, RestartPolicy
from relay.supervisor.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from relay.listener.addresses import BoundSocket
    from relay.supervisor.messages import Message
    from relay.supervisor.preflight import PreflightResult

STOP_SECONDS: Final = 60.0
"""Limit of a worker's stop: it sends for 4 s, and a million series take some more. Beyond it the worker is killed."""
_START_SECONDS: Final = 10.0
"""The same for a worker that is not ready: a disk may hang, and a kill loses only packets read since its start."""
_DEATHS_MOST: Final = 10
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class WorkerProcess(NamedTuple):
    """A worker's process, and the monotonic time at which it was ready."""

    pid: int
    ready_at: float | None = None


class ReplacementRequest(NamedTuple):
    """A requested replacement."""

    text: str | None = None
    """Text of the configuration; None: use the file on disk."""


def supervise(environ: MutableMapping[str, str]) -> int:
    """Open the sockets, run workers until a signal to stop; return the exit code.

    Signals are blocked until the handlers are installed, so that an early SIGHUP does not kill the process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    result = Preflight(environ, is_first=True).wait(is_stop_pending)
    if is_stop_pending():
        return ExitCode.OK
    if result.plan is None:
        return result.code
    try:
        held = open_sockets(result.plan.wanted)
    except RelayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    supervisor = Supervisor(LastGoodConfig(result.plan, held), environ)
    try:
        return supervisor.run()
    finally:
        supervisor.close()


class Supervisor:
    """State: the plan in force, the worker, a requested or checked replacement, and the deadline of the worker."""

    def __init__(self, in_force: LastGoodConfig, environ: MutableMapping[str, str]) -> None:
        self._in_force = in_force
        self._notifier = Notifier.from_environ({**environ}, pid=os.getpid())
        self._environ = environ
        self._restarts = RestartPolicy(min_uptime=in_force.plan.steady)
        self._poll = select.poll()
        self._messages: Messages | None = None
        """Messages of the present worker."""
        self._worker: WorkerProcess | None = None
        self._deaths: deque[tuple[float, str]] = deque(maxlen=_DEATHS_MOST)
        """Wall times and reasons of the latest ends of workers that were not asked for; the next worker is told."""
        self._restart_at: float | None = None
        self._kill_at: float | None = None
        """Monotonic time at which a worker that was asked to end is killed."""
        self._request: ReplacementRequest | None = None
        self._preflight: Preflight | None = None
        self._is_reload_pending = False
        """Whether a SIGHUP came that no worker has finished."""
        self._stopping_since: float | None = None
        self._exit: int | None = None
        self._date = as_date(time.time())
        self._terminal = Terminal()

    @property
    def _log(self) -> SupervisorLog:
        plan = self._in_force.plan
        return SupervisorLog(is_text=plan.is_text, level=plan.level, date=self._date)

    def run(self) -> int:
        """Run until a stop is done, or the restart policy gives up; return the exit code."""
        awake, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for one in _SIGNALS:
            signal.signal(one, _ignore)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._poll.register(awake, select.POLLIN)
        self._log_takeovers(self._in_force.held)
        self._start()
        while self._exit is None:
            self._poll.poll(self._until_next())
            self._read_messages()
            with suppress(BlockingIOError):
                for number in os.read(awake, 4096):
                    self._on_signal(number)
            self._reap()
            self._check_deadlines()
            self._check_next()
        return self._exit

    def close(self) -> None:
        """Kill a running preflight check and close the sockets."""
        if self._preflight is not None:
            self._preflight.kill()
        self._in_force.close()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _until_next(self) -> float | None:
        """Return the milliseconds until the next deadline; None without one."""
        checked = self._preflight.deadline if self._preflight else None
        due = [moment for moment in (self._restart_at, self._kill_at, checked) if moment is not None]
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if self._preflight is not None and now >= self._preflight.deadline:
            self._preflight.kill()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            why = "it did not end in time"
            self._log.error("worker killed, what it alone had is lost", code="RLY501", why=why)
            self._signal_worker(signal.SIGKILL)
        if self._restart_at is not None and now >= self._restart_at:
            self._start()

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._terminal.is_closed()):
            self._stop(number)
        elif number == signal.SIGHUP:
            self._is_reload_pending = True
            self._signal_worker(signal.SIGHUP)
        elif number == signal.SIGUSR2:
            self._request = ReplacementRequest()

    def _read_messages(self) -> None:
        """Read the worker's messages; pass those of sd_notify(3) on to the service manager."""
        for message in self._messages.read() if self._messages else ():
            if message.assignments[:1] and message.assignments[0].startswith(OURS):
                self._execute(message)
                continue
            if READY in message.assignments:
                self._ready()
            if STOPPING not in message.assignments or self._is_stopping:
                self._notifier.send(*message.assignments)

    def _ready(self) -> None:
        """Handle READY: the worker has started, or a reload is done."""
        if self._worker is not None and self._worker.ready_at is None:
            self._worker = self._worker._replace(ready_at=time.monotonic())
            self._restarts.ready()
            self._kill_at = self._kill_at and time.monotonic() + STOP_SECONDS
        else:
            self._is_reload_pending = False

    def _execute(self, message: Message) -> None:
        """Handle a message for the supervisor only."""
        assignments, descriptor = message
        if descriptor is None:
            if REFUSED in assignments:
                self._revert()
        elif assignments[0].startswith(HOLD):
            self._in_force.hold(assignments[0].removeprefix(HOLD), socket.socket(fileno=descriptor))
        else:
            text = read_text(descriptor)
            os.close(descriptor)
            with suppress(ValueError):  # a plan of an incompatible release: the plan accepted before stays in force
                self._accept(Plan.from_json(text), is_rebinding=REBIND in assignments)

    def _log_takeovers(self, held: Sequence[BoundSocket]) -> None:
        for one in held:
            if one.previous_owner:
                fix = "it receives no more packets: stop it after its next flush"
                if one.still_receives:
                    other = one.still_receives
                    fix = f"it still receives packets at another address of {other}: listen there too"
                self._log.info("address taken over", listener=str(one.address), giver=one.previous_owner, fix=fix)

    # --- the worker ---------------------------------------------------------------------------------------------------

    @property
    def _is_stopping(self) -> bool:
        return self._stopping_since is not None

    @property
    def _is_ready(self) -> bool:
        return self._worker is not None and self._worker.ready_at is not None

    def _start(self) -> None:
        self._restart_at = None
        messages = self._messages = Messages()
        self._poll.register(messages, select.POLLIN)
        plan, held = self._in_force.plan, self._in_force.held
        self._worker = WorkerProcess(
            start_worker(
                plan,
                held,
                self._environ,
                messages=messages,
                log=self._log,
                is_successor=self._restarts.was_ready,
                deaths=self._deaths,
            )
        )
        messages.close_given()
        if self._is_reload_pending:
            self._signal_worker(signal.SIGHUP)

    def _signal_worker(self, number: signal.Signals) -> None:
        if self._worker is not None:
            os.kill(self._worker.pid, number)

    def _reap(self) -> None:
        """Reap ended children; as pid 1 of a container this process also gets orphans of others."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if self._worker is not None and ended[0] == self._worker.pid:
                    self._ended(self._worker, os.waitstatus_to_exitcode(ended[1]))
                elif self._preflight is not None and ended[0] == self._preflight.pid:
                    result, self._preflight = self._preflight.result(ended[1]), None
                    self._on_checked(result)

    def _ended(self, worker: WorkerProcess, status: int) -> None:
        self._read_messages()
        self._close_messages()
        self._worker = self._kill_at = None
        was_changing = self._in_force.is_changing
        self._in_force.settle()
        if self._is_stopping:
            self._exit = 0 if status == 0 else status if status > 0 else int(ExitCode.INTERNAL)
        elif was_changing and status == 0:
            self._log.info("worker replaced", pid=worker.pid)
            self._start()
        else:
            self._restart_later(worker, status)

    def _close_messages(self) -> None:
        if self._messages:
            self._poll.unregister(self._messages)
            self._messages.close()
        self._messages = None

    def _restart_later(self, worker: WorkerProcess, status: int) -> None:
        now = time.monotonic()
        age = None if worker.ready_at is None else now - worker.ready_at
        decision = self._restarts.ended(status, age=age)
        why = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
        self._deaths.append((time.time(), why))
        if isinstance(decision, GiveUp):
            self._exit = decision.code
            if decision.failures > 1:
                event = "workers keep dying, the relay ends"
                self._log.error(event, code="RLY501", why=why, deaths=decision.failures)
            return
        self._restart_at = now + decision.delay
        event = "worker died, starting another"
        self._log.warning(event, code="RLY501", why=why, pid=worker.pid, pause_seconds=decision.delay)

    # --- stop and replacement -----------------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        now = time.monotonic()
        if self._stopping_since is not None:
            if now - self._stopping_since < REPEAT_SECONDS:
                return
            self._signal_worker(signal.SIGKILL)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(128 + number)  # the default action does not end pid 1 of a container
        self._stopping_since = now
        self._restart_at = None
        self._notifier.stopping()
        if self._worker is None:
            self._exit = 0
        self._kill_at = now + (STOP_SECONDS if self._is_ready else _START_SECONDS)
        self._signal_worker(signal.SIGTERM)

    def _accept(self, plan: Plan, *, is_rebinding: bool) -> None:
        """Put the plan that the worker accepted in force; request a replacement if it needs other sockets.

        A replacement is also requested if one is under way: its worker is started with an older plan.
        """
        if is_rebinding or self._in_force.is_changing or self._preflight:
            self._request = ReplacementRequest(plan.text)
        if not is_rebinding and not self._in_force.is_changing:
            self._in_force.plan = plan

    def _check_next(self) -> None:
        """Begin the preflight check of a requested replacement, unless another one is under way."""
        if self._request is None or self._preflight or self._in_force.is_changing or self._is_stopping:
            return
        request, self._request = self._request, None
        try:
            self._preflight = Preflight(self._environ, text=request.text)
        except OSError as error:
            self._refuse(f"{sys.executable} cannot be executed: {error.strerror}")

    def _on_checked(self, result: PreflightResult) -> None:
        """Open the new sockets and ask the worker to hand over; ignore the result if a newer request waits."""
        if self._request is not None or self._is_stopping:
            return
        try:
            fresh = self._in_force.change(successor_plan(result, state=self._in_force.plan.state))
        except (RelayError, RefusedError) as error:
            self._refuse(str(error))
            return
        self._log_takeovers(fresh)
        if self._worker is None:
            self._in_force.settle()
            self._start()
            return
        self._kill_at = time.monotonic() + STOP_SECONDS
        self._signal_worker(signal.SIGUSR2)

    def _revert(self) -> None:
        """Undo the replacement: the worker cannot hand over, has logged why, and continues."""
        self._kill_at = None
        self._in_force.revert()

    def _refuse(self, reason: str) -> None:
        self._log.warning("not replaced, nothing has changed", code="RLY502", why=reason)
        if self._messages:
            self._messages.send(f"{NOT_REPLACED}{reason}")


def _ignore(_: int, __: object) -> None:
    """Do nothing: the wake-up descriptor carries the signal's number to the loop."""
