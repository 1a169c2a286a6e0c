"""The entry point of every process: `statsd-relay`, `python -m relay`, the supervisor, its worker and preflight checks.

This module decides from the command line and the environment which of them the process is, and imports only what that
one needs. `run` becomes the supervisor, which imports next to nothing. A worker that inherits sockets reads them before
it imports the rest. A preflight check writes a plan for its parent and ends. Every other command goes to relay.cli.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from relay.daemon.descriptors import raise_limit
from relay.errors import RelayError
from relay.listener.socket_activation import has_inherited_sockets
from relay.supervisor.protocol import PLAN, check_variables

_CORE_FILTER: Final = Path("/proc/self/coredump_filter")
"""core(5): which memory a core dump contains. It holds for dumps piped to a program too, which ignore RLIMIT_CORE."""


def main() -> None:
    """Run as the process that the command line and the environment ask for."""
    _open_standard_descriptors()
    raise_limit()
    _prevent_core_dumps()
    if sys.argv[1:2] != ["run"]:
        from relay.cli import main as command_line  # noqa: PLC0415 - see above

        command_line()
    else:
        try:
            _run()
        except RelayError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(error.exit_code)


def _run() -> None:
    """Run as a preflight check, as a worker or as the supervisor, in this order of precedence.

    Raises:
        RelayError: RLY101 or RLY102, a variable is malformed or names a descriptor that is not open.
    """
    check_variables(os.environ)
    if os.environ.get(PLAN):
        _check()
    elif has_inherited_sockets(os.environ):
        _work()
    else:
        from relay.supervisor.supervisor import supervise  # noqa: PLC0415 - see above

        sys.exit(supervise(os.environ))


def _prevent_core_dumps() -> None:
    """Let this process and its children leave no core dump, or one that contains no memory.

    Memory holds credentials and the lines of senders. PR_SET_DUMPABLE would prevent dumps as well, but hides the
    process from commands of its own user (delivery/state/directory.py).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a kernel without it, or a /proc that is read-only
        _CORE_FILTER.write_text("0")


def _open_standard_descriptors() -> None:
    """Open descriptors 0, 1 and 2 on /dev/null where the parent has closed them.

    Otherwise the next socket or file would get such a number, and standard output or error would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest descriptor that is free is this one
            os.set_inheritable(descriptor, True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - these end with the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _work() -> None:
    """Run as the worker, with sockets inherited from our supervisor or from a systemd socket unit."""
    from relay.daemon.lifecycle.worker import inherit  # noqa: PLC0415 - see above

    worker = inherit(os.environ)
    try:
        from relay.cli import main as command_line  # noqa: PLC0415 - see above

        command_line(worker)
    finally:
        worker.close()


def _check() -> None:
    """Run as a preflight check: read the configuration as `run` would, write a plan, and end."""
    from relay.cli import finish  # noqa: PLC0415 - see above
    from relay.cli.plan import answer  # noqa: PLC0415 - see above

    finish(lambda: answer(sys.argv[2:], os.environ))


if __name__ == "__main__":
    main()
