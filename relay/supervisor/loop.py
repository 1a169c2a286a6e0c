"""The supervisor itself: one thread that waits for signals, for messages of the worker and for its end.

    SIGTERM, SIGINT   the worker stops in order, then we do; a second one ends both at once
    SIGHUP            passed on: a worker reloads in process
    SIGUSR2           the configuration is checked; then the worker hands its window over and another one takes it up
    a worker's end    the next one starts, at once or later, or we give up (lives.py); the sockets stay open throughout

A worker whose configuration names other addresses asks for a replacement by a message: the new sockets are opened
first, and if one of them cannot be, nothing changes (RLY502). A bad file leaves all as it was, over the death of a
worker too: workers keep the last good one in an anonymous file that is held here (proven.py).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.errors import ExitCode, RelayError
from relay.listener.handover import INGEST
from relay.listener.sockets import close_sockets, open_sockets
from relay.notify import READY, REBIND, STOPPING, Notifier
from relay.proven import Proven
from relay.supervisor.lives import GiveUp, Lives
from relay.supervisor.log import Log
from relay.supervisor.messages import Messages
from relay.supervisor.process import Answer, Plan, read_plan, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from relay.listener.sockets import Held

STOP_SECONDS: Final = 60.0
"""For a worker that was asked to end: it sends for 4 s, and a million series take some more; then it hangs."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class _RefusedError(Exception):
    """A replacement that would lose something."""


class Worker(NamedTuple):
    """The process that does the work."""

    pid: int
    ready_at: float | None = None


def supervise(make_plan: Callable[[], str], environ: MutableMapping[str, str]) -> int:
    """Open the sockets, run workers until told to stop; return the exit code."""
    answer = read_plan(make_plan, capture=False)
    if answer.plan is None:
        return answer.code
    try:
        held = open_sockets(answer.plan.wanted)
    except RelayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    supervisor = Supervisor(make_plan, answer.plan, held, environ)
    try:
        return supervisor.run()
    finally:
        supervisor.close()


class Supervisor:
    """State: the sockets, the worker, the plan it runs by, and what is to happen when it ends."""

    def __init__(
        self, make_plan: Callable[[], str], plan: Plan, held: Sequence[Held], environ: MutableMapping[str, str]
    ) -> None:
        self._make_plan = make_plan
        self._plan = plan
        self._held = list(held)
        self._leaving: list[Held] = []
        """Sockets of addresses that are not wanted any more; the worker that leaves drains them."""
        self._notifier = Notifier.take({**environ}, pid=os.getpid())
        self._environ = environ
        self._log = Log(is_text=plan.is_text, level=plan.level)
        self._proven = Proven.create()
        self._lives = Lives(steady=plan.steady)
        self._messages = Messages()
        self._worker: Worker | None = None
        self._restart_at: float | None = None
        self._kill_at: float | None = None
        """When a worker that was asked to end has had its time."""
        self._is_replacing = False
        self._is_stopping = False
        self._exit: int | None = None

    def __repr__(self) -> str:
        """Report the worker."""
        return f"<Supervisor {len(self._held)} sockets, {self._worker}>"

    def run(self) -> int:
        """Work until told to stop, or until workers keep dying; return the exit code."""
        awake, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for noted in _SIGNALS:
            signal.signal(noted, _noted)
        poll = select.poll()
        poll.register(awake, select.POLLIN)
        poll.register(self._messages, select.POLLIN)
        self._tell_of_taken(self._held)
        self._start()
        while self._exit is None:
            poll.poll(self._until_next())
            self._hear()
            with suppress(BlockingIOError):
                for number in os.read(awake, 4096):
                    self._on_signal(number)
            self._reap()
            self._keep_time()
        return self._exit

    def close(self) -> None:
        """Close the sockets: no worker reads them any more."""
        self._proven.close()
        close_sockets([*self._leaving, *self._held])

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _until_next(self) -> float | None:
        """Return the milliseconds until something is due; None: nothing is."""
        due = [moment for moment in (self._restart_at, self._kill_at) if moment is not None]
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._signal_worker(signal.SIGKILL)
        if self._restart_at is not None and now >= self._restart_at:
            self._start()

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop(number)
        elif number == signal.SIGHUP:
            self._signal_worker(signal.SIGHUP)
        elif number == signal.SIGUSR2:
            self._replace()

    def _hear(self) -> None:
        """Take the worker's messages; pass on what our own manager may want to know."""
        for message in self._messages.read():
            if self._worker is None or message.pid != self._worker.pid:
                continue
            if REBIND in message.assignments:
                self._replace()
                continue
            if READY in message.assignments and self._worker.ready_at is None:
                self._worker = self._worker._replace(ready_at=time.monotonic())
                self._lives.ready()
            if STOPPING not in message.assignments or self._is_stopping:
                self._notifier.send(*message.assignments)

    def _tell_of_taken(self, held: Sequence[Held]) -> None:
        for one in held:
            if one.giver:
                fix = "it gets no packets any more: stop it once it has flushed what it has"
                if one.keeps:
                    fix = f"it still gets what comes to another address of {one.keeps}: listen there, too, to take all"
                self._log.info("address taken over", address=str(one.address), giver=one.giver, fix=fix)

    # --- the worker ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._restart_at = None
        extra = {"NOTIFY_SOCKET": self._messages.address, INGEST: self._plan.ingest}
        self._worker = Worker(start_worker(self._held, self._environ, self._proven, **extra))

    def _signal_worker(self, number: signal.Signals) -> None:
        if self._worker is not None:
            os.kill(self._worker.pid, number)

    def _reap(self) -> None:
        """Take the ends of children; as the first process of a container we get others' too."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if self._worker is not None and ended[0] == self._worker.pid:
                    self._ended(self._worker, os.waitstatus_to_exitcode(ended[1]))

    def _ended(self, worker: Worker, status: int) -> None:
        self._worker = self._kill_at = None
        if self._is_stopping:
            self._exit = 0 if status == 0 else status if status > 0 else int(ExitCode.INTERNAL)
        elif self._is_replacing and status == 0:
            self._log.info("worker replaced", pid=worker.pid)
            self._take_over()
            self._start()
        else:
            self._take_over()
            self._died(worker, status)

    def _take_over(self) -> None:
        """The worker that knew the addresses which are not wanted any more is gone."""
        self._is_replacing = False
        close_sockets(self._leaving)
        self._leaving = []

    def _died(self, worker: Worker, status: int) -> None:
        now = time.monotonic()
        age = None if worker.ready_at is None else now - worker.ready_at
        fate = self._lives.ended(status, age=age)
        reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
        if isinstance(fate, GiveUp):
            self._exit = fate.code
            if fate.failures > 1:
                self._log.warning("RLY501 workers keep dying, giving up", reason=reason, in_a_row=fate.failures)
            return
        self._restart_at = now + fate.delay
        self._log.warning("RLY501 worker died, starting another", reason=reason, pid=worker.pid, seconds=fate.delay)

    # --- what was asked for -------------------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        if self._is_stopping:
            self._signal_worker(signal.SIGKILL)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(128 + number)  # the first process of a container does not die of it
        self._is_stopping = True
        self._restart_at = None
        self._notifier.stopping()
        if self._worker is None:
            self._exit = 0
        self._kill_at = time.monotonic() + STOP_SECONDS
        self._signal_worker(signal.SIGTERM)

    def _replace(self) -> None:
        """Check the configuration, open what is new, and let the worker hand over."""
        if self._is_stopping or self._is_replacing:
            return
        answer = read_plan(self._make_plan, capture=True)
        try:
            held = open_sockets(self._accept(answer).wanted, self._held)
        except (RelayError, _RefusedError) as error:
            self._log.warning("RLY502 not replaced, nothing has changed", reason=str(error))
            return
        self._leaving = [one for one in self._held if one not in held]
        self._tell_of_taken([one for one in held if one not in self._held])
        self._held = held
        self._plan = answer.plan or self._plan
        self._is_replacing = True
        if self._worker is None:
            self._take_over()
            self._start()
            return
        self._kill_at = time.monotonic() + STOP_SECONDS
        self._signal_worker(signal.SIGUSR2)

    def _accept(self, answer: Answer) -> Plan:
        """Return the plan, if a worker that follows it can take up where this one ends.

        Raises:
            _RefusedError: why not.
        """
        if answer.plan is None:
            raise _RefusedError(answer.complaint)
        if not answer.plan.state:
            raise _RefusedError("without a state directory the open window would be lost: stop and start instead")
        if answer.plan.state != self._plan.state:
            raise _RefusedError("the open window waits in the old [spool] path: stop and start instead")
        return answer.plan


def _noted(_: int, __: object) -> None:
    """The wake-up descriptor carries the signal's number to the loop."""
