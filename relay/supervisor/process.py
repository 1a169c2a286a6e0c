"""Start of the worker's process: this program again, by fork and exec.

A worker gets all parameters through its environment:

    LISTEN_*             the sockets, by systemd's protocol
    RELAY_CHANNEL        the descriptor for its messages
    RELAY_SUPERVISOR     the pid of the supervisor
    RELAY_INGEST         the settings to receive with, before it has read its configuration
    RELAY_CONFIGURATION  the descriptor of the text of its configuration
    RELAY_GENERATION     the generation of that configuration
    RELAY_DEATHS         the latest ends of workers that were not asked for
    RELAY_SUCCESSOR      set if another worker was ready before it

supervisor.py decides when a worker is started.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from relay.errors import ExitCode
from relay.listener.socket_activation import (
    ACCEPTED_STATE,
    CONFIGURATION_FD,
    DEATHS,
    GENERATION,
    INGEST,
    SUPERVISOR,
    create_text,
    encode_deaths,
    encode_state_directory,
    pass_descriptor,
    pass_sockets,
)
from relay.supervisor.protocol import HANDLED_SIGNALS, child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.listener.addresses import BoundSocket
    from relay.supervisor.log import SupervisorLog
    from relay.supervisor.messages import Messages
    from relay.supervisor.plan import Plan


def start_worker(  # noqa: PLR0913 - what a worker inherits
    plan: Plan,
    held: Sequence[BoundSocket],
    environ: Mapping[str, str],
    *,
    messages: Messages,
    log: SupervisorLog,
    is_successor: bool = False,
    deaths: Sequence[tuple[float, str]] = (),
) -> int:
    """Start this program again, as the worker; return its pid.

    The worker has the command line of this process. Ctrl-C reaches every process of the terminal, so the worker ignores
    SIGINT: the supervisor sends it SIGTERM.

    Args:
        plan: of the configuration that the worker is to use.
        held: the sockets for the worker.
        environ: of this process.
        messages: receives the worker's messages.
        log: the child logs there if the program cannot be executed.
        is_successor: another worker was ready before.
        deaths: wall times and reasons of the latest ends of workers that were not asked for.
    """
    passed = {SUPERVISOR: str(os.getpid()), INGEST: plan.ingest, GENERATION: str(plan.generation)}
    own = child_environment(environ) | passed
    if is_successor:
        own[ACCEPTED_STATE] = encode_state_directory(plan.state)
    if deaths:
        own[DEATHS] = encode_deaths(deaths)
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, (*HANDLED_SIGNALS, signal.SIGINT))
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(plan, held, own, messages, log)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*HANDLED_SIGNALS, signal.SIGINT))
    return pid


def _become_worker(
    plan: Plan, held: Sequence[BoundSocket], own: dict[str, str], messages: Messages, log: SupervisorLog
) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        if plan.text is not None:
            pass_descriptor(create_text(plan.text), CONFIGURATION_FD, own, sockets=len(held))
        messages.give(own, sockets=len(held))
        pass_sockets(held, own)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], own)  # noqa: S606 - ourselves
    except OSError as error:
        log.error(  # noqa: TRY400 - the traceback is no help
            "the worker cannot be executed", code="RLY501", program=sys.executable, why=error.strerror
        )
    finally:
        os._exit(ExitCode.INTERNAL)
