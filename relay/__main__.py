"""Where every process begins: `statsd-relay`, `python -m relay`, the supervisor, its worker and its trials.

The order of imports is the point. `run` becomes the supervisor, which imports next to nothing; a worker that was given
sockets reads them before it imports the rest; a trial answers its parent and ends; every other command goes straight
to the command line.
"""

from __future__ import annotations

import os
import sys

from relay.core_dumps import prevent_core_dumps
from relay.descriptors import raise_limit
from relay.errors import RelayError
from relay.listener.socket_activation import are_inherited
from relay.supervisor.plan import PLAN
from relay.supervisor.variables import check_variables


def main() -> None:
    """Become what the command line and the environment say."""
    _open_standard_descriptors()
    raise_limit()
    prevent_core_dumps()
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
    """Be what the environment asks for.

    Raises:
        RelayError: RLY101, RLY102, the environment promises what is not there.
    """
    check_variables(os.environ)
    if os.environ.get(PLAN):
        _answer()
    elif are_inherited(os.environ):
        _work()
    else:
        from relay.supervisor.supervisor import supervise  # noqa: PLC0415 - see above

        sys.exit(supervise(os.environ))


def _open_standard_descriptors() -> None:
    """Open what the parent has closed of 0, 1 and 2 on nothing: a socket or a file there would be written into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest descriptor that is free is this one
            os.set_inheritable(descriptor, True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - these end with the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _work() -> None:
    """Be the worker: of our supervisor, or of systemd's socket unit."""
    from relay.daemon.lifecycle.worker import inherit  # noqa: PLC0415 - see above

    worker = inherit(os.environ)
    try:
        from relay.cli import main as command_line  # noqa: PLC0415 - see above

        command_line(worker)
    finally:
        worker.close()


def _answer() -> None:
    """Be the trial: read the configuration as `run` would, answer with a plan, and end."""
    from relay.cli import finish  # noqa: PLC0415 - see above
    from relay.cli.plan import answer  # noqa: PLC0415 - see above

    finish(lambda: answer(sys.argv[2:], os.environ))


if __name__ == "__main__":
    main()
