"""The preflight check: a child process executes the program on disk, reads the configuration, writes a plan, and ends.

A new release with inconsistent or missing modules fails in the child, and the running worker continues. The child also
spares the supervisor the libraries that read a configuration, which take more memory than the whole supervisor.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.listener.socket_activation import CONFIGURATION_FD, create_text, read_text
from relay.supervisor.plan import Plan
from relay.supervisor.protocol import HANDLED_SIGNALS, PLAN, THOROUGH, child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SECONDS: Final = 30.0
_STDERR_BYTES: Final = 16_384


class PreflightResult(NamedTuple):
    """A plan, or the reason why there is none."""

    plan: Plan | None
    code: int
    reason: str
    """Why there is no plan; empty if the child's standard error is not captured."""


class RefusedError(Exception):
    """A replacement is refused: the check failed, or the open window would be lost."""


def successor_plan(result: PreflightResult, *, state: str) -> Plan:
    """Return the plan, if its worker can continue the open window of a worker with this state directory.

    Raises:
        RefusedError: it cannot; the message is the reason.
    """
    if result.plan is None:
        raise RefusedError(result.reason)
    if not result.plan.state:
        raise RefusedError("without a state directory the open window would be lost: stop and start instead")
    if result.plan.state != state:
        raise RefusedError("the open window waits in the old [spool] path: stop and start instead")
    return result.plan


class Preflight:
    """State: the child, the files for its plan and its standard error, and its deadline.

    Args:
        environ: of this process.
        text: of the configuration, instead of the file on disk.
        is_first: no worker runs yet, so errors go to the terminal.

    Raises:
        OSError: the program cannot be executed.
    """

    def __init__(self, environ: Mapping[str, str], *, text: str | None = None, is_first: bool = False) -> None:
        self._plan = create_text()
        self._stderr = create_text()
        self._text = None if text is None else create_text(text)
        try:
            self.pid = self._spawn(child_environment(environ), is_first=is_first)
        except OSError:
            self.close()
            raise
        self.deadline = time.monotonic() + _SECONDS
        """Monotonic time at which a child that still runs is killed."""

    def _spawn(self, own: dict[str, str], *, is_first: bool) -> int:
        own[PLAN] = str(self._plan)
        inherited = [self._plan]
        if self._text is not None:
            own[CONFIGURATION_FD] = str(self._text)
            inherited.append(self._text)
        if not is_first:
            own[THOROUGH] = "1"
        stderr = [] if is_first else [(os.POSIX_SPAWN_DUP2, self._stderr, 2)]
        sys.stdout.flush()
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *sys.orig_argv[1:]],
            own,
            file_actions=[*((os.POSIX_SPAWN_DUP2, one, one) for one in inherited), *stderr],
            setsigmask=(*HANDLED_SIGNALS, signal.SIGINT),  # these signals are for the parent
        )

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> PreflightResult:
        """Return the result. Blocks until the child ends; kill it at the deadline, or when `is_over` returns True."""
        while time.monotonic() < self.deadline and not is_over():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return self.result(status)
            select.select((), (), (), 0.005)  # time.sleep is EINVAL below libfaketime
        self.kill()
        return self.result(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        """Kill the child; it must still be reaped."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def result(self, status: int) -> PreflightResult:
        """Return the result of an ended child; `status` is that of waitpid(2)."""
        code = os.waitstatus_to_exitcode(status)
        text = read_text(self._plan) if code == 0 else ""
        errors = read_text(self._stderr, most=_STDERR_BYTES)
        self.close()
        if not text:
            return PreflightResult(None, code, _brief(errors, code))
        try:
            return PreflightResult(Plan.from_json(text), code, "")
        except ValueError as error:
            return PreflightResult(None, code, f"the program has made {error}")

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._plan, self._stderr, self._text):
            if descriptor is not None:
                os.close(descriptor)


def _brief(errors: str, code: int) -> str:
    """Return why there is no plan: the child's standard error, or the last line of its traceback."""
    if code == -signal.SIGKILL:
        return f"the program took more than {_SECONDS:.0f} s to read the configuration, or was killed"
    lines = errors.strip().splitlines()
    if any(line.startswith("Traceback") for line in lines):
        places = [line.strip() for line in lines if line.startswith('  File "')]
        return f"the program does not start: {lines[-1]} ({places[-1] if places else 'no place'})"
    return "\n".join(lines) or f"the program has made no plan: exit code {code}"
