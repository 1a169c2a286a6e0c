"""Processes: the worker, which is this program again by fork and exec, and the short-lived child that reads the plan.

A worker is told everything by its environment: sockets by systemd's protocol (LISTEN_*), where to say that it is ready
(NOTIFY_SOCKET), who supervises it (RELAY_SUPERVISOR), and what its first milliseconds need (RELAY_INGEST), so that it
reads packets before it has read its configuration; RELAY_PROVEN is explained in proven.py.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.errors import ExitCode
from relay.listener.handover import FIRST_FD, INGEST, SUPERVISOR, give
from relay.listener.sockets import Wanted
from relay.proven import PROVEN, Proven
from relay.signals import HELD_BACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relay.listener.sockets import Held

_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID")
_OURS: Final = (*_SYSTEMD, SUPERVISOR, INGEST, PROVEN)
_PLAN_SECONDS: Final = 20.0


class Plan(NamedTuple):
    """What the supervisor must know of the configuration; made by the worker's code (app.py), carried as JSON."""

    wanted: Wanted
    steady: float
    """Seconds after which a worker that was ready has proved itself."""
    state: str
    """The state directory; empty: a replacement would lose the open window."""
    is_text: bool
    level: str
    """Of the log."""
    ingest: str
    """For the worker's first milliseconds; opaque here."""

    def to_json(self) -> str:
        """For `from_json` on the other side of a pipe."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["wanted"] = Wanted.from_json(fields["wanted"])
        return cls(**fields)


class Answer(NamedTuple):
    """What came of reading the configuration: a plan, or why not."""

    plan: Plan | None
    code: int
    complaint: str
    """What the child said on stderr, if that was captured."""


def start_worker(held: Sequence[Held], environ: Mapping[str, str], proven: Proven, **extra: str) -> int:
    """Start this program again, as the worker; return its pid.

    `ps` shows the command that was given. A Ctrl-C reaches every process of the terminal: the worker ignores it, since
    the supervisor passes on what it means.
    """
    own = {name: value for name, value in environ.items() if name not in _OURS} | {SUPERVISOR: str(os.getpid())} | extra
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, (*HELD_BACK, signal.SIGINT))
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(held, own, proven)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*HELD_BACK, signal.SIGINT))
    return pid


def _become_worker(held: Sequence[Held], environ: dict[str, str], proven: Proven) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        proven.give(environ, above=FIRST_FD + len(held))
        give(held, environ)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606 - ourselves
    finally:
        os._exit(ExitCode.INTERNAL)


def read_plan(make: Callable[[], str], *, capture: bool) -> Answer:
    """Let a child read the configuration: its libraries would take more memory than everything else here.

    Args:
        make: returns the plan as JSON, or writes what is wrong to stderr and raises SystemExit; called in the child.
        capture: keep what it writes instead of showing it.
    """
    plan_out, plan_in = os.pipe()
    said_out, said_in = os.pipe()
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, (*HELD_BACK, signal.SIGINT))
    pid = os.fork()
    if pid == 0:
        _plan_and_exit(make, plan_in, said_in if capture else 2)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*HELD_BACK, signal.SIGINT))
    os.close(plan_in)
    os.close(said_in)
    plan, said = _read_both(plan_out, said_out)
    with suppress(ProcessLookupError):
        if plan is None:
            os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if plan is None:
        return Answer(None, ExitCode.INTERNAL, f"reading the configuration took more than {_PLAN_SECONDS:.0f} s")
    return Answer(Plan.from_json(plan) if plan and code == 0 else None, code, said.strip())


def _plan_and_exit(make: Callable[[], str], plan_in: int, stderr: int) -> None:
    code = int(ExitCode.INTERNAL)
    try:
        os.dup2(stderr, 2)
        os.write(plan_in, make().encode())
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read_both(*descriptors: int) -> tuple[str | None, str]:
    """Read two pipes to their ends; None for the first one if that takes too long."""
    content = dict.fromkeys(descriptors, b"")
    ends = time.monotonic() + _PLAN_SECONDS
    still_open = set(descriptors)
    while still_open and (left := ends - time.monotonic()) > 0:
        for descriptor in select.select(still_open, (), (), left)[0]:
            chunk = os.read(descriptor, 65536)
            content[descriptor] += chunk
            if not chunk:
                still_open.discard(descriptor)
    for descriptor in descriptors:
        os.close(descriptor)
    first, second = (content[descriptor].decode("utf-8", "replace") for descriptor in descriptors)
    return (None if still_open else first), second
