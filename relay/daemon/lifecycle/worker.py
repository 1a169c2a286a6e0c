"""What a worker inherits from its parent, and whether that parent still runs.

There are three kinds of parents: our supervisor (RELAY_SUPERVISOR), systemd or another program with its protocol, and
a worker that executes the next one in the same process. Not known here: when to hand over.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relay.daemon.ingest import begin_reading
from relay.listener.addresses import ADMIN
from relay.listener.socket_activation import (
    ACCEPTED_STATE,
    CONFIGURATION_FD,
    DEATHS,
    GENERATION,
    INGEST,
    SUPERVISOR,
    create_text,
    decode_deaths,
    decode_state_directory,
    encode_state_directory,
    inherit_sockets,
    pass_descriptor,
    pass_sockets,
    receive_configuration,
)
from relay.supervisor.protocol import ACCEPTED, HOLD, REBIND, Notifier, block

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from relay.daemon.ingest import Ingest
    from relay.listener.addresses import BoundSocket
    from relay.supervisor.plan import Plan


class Worker:
    """State: the inherited sockets and their ingest, the supervisor's pid, the notifier, and the configuration.

    `held` are the sockets that receive. `admin` are those of the admin port; without a parent the relay opens them
    (listener/admin_sockets.py).
    """

    def __init__(  # noqa: PLR0913 - all that a parent passes
        self,
        *,
        held: Sequence[BoundSocket] = (),
        supervisor: int = 0,
        notifier: Notifier | None = None,
        ingest: str = "",
        text: str | None = None,
        generation: int = 1,
        accepted_state: str | None = None,
        deaths: Sequence[tuple[float, str]] = (),
    ) -> None:
        self.held = [one for one in held if one.kind != ADMIN]
        self.admin = [one for one in held if one.kind == ADMIN]
        self.supervisor = supervisor
        """Pid of the supervisor; 0 without one."""
        self.notifier = notifier or Notifier()
        self.text = text
        """Text of the configuration in force; None: use the file on disk."""
        self.generation = generation
        """Of the configuration in force at the start."""
        self.accepted_state = accepted_state
        """State directory of the previous worker, "" for none; None: this worker is the first."""
        self.deaths = deaths
        """Wall times and reasons of the latest ends of workers that were not asked for."""
        self.next: Plan | None = None
        """The plan of the next worker, if this process will execute it."""
        self.ingest: Ingest | None = begin_reading(ingest, self.held) if ingest and self.held else None

    @property
    def is_orphaned(self) -> bool:
        """Whether the supervisor has died, so that this worker would be neither restarted nor stopped."""
        return bool(self.supervisor) and os.getppid() != self.supervisor

    @property
    def origin(self) -> str:
        """Origin of the sockets, in words."""
        if not self.held:
            return "own"
        return "the supervisor" if self.supervisor else "socket activation"

    def close(self) -> None:
        """End the reader threads after a failed start."""
        if self.ingest:
            self.ingest.stop()

    def hold_admin(self) -> Callable[[BoundSocket], None] | None:
        """Return a function that keeps a socket open for the next worker; None if the sockets are not inherited."""
        return None if not self.held else self._send_admin if self.supervisor else self.admin.append

    def _send_admin(self, one: BoundSocket) -> None:
        self.notifier.send(f"{HOLD}{one.address}", descriptor=one.socket.fileno())

    def accept(self, plan: str, *, is_rebinding: bool) -> None:
        """Send a plan to the supervisor, if there is one: in force now, or to be put in force by a replacement.

        Raises:
            OSError: the message was not sent, so the next worker would be started with the previous plan.
        """
        if self.supervisor:
            descriptor = create_text(plan)
            try:
                self.notifier.deliver(REBIND if is_rebinding else ACCEPTED, descriptor=descriptor)
            finally:
                os.close(descriptor)

    def become_next(self, environ: MutableMapping[str, str]) -> None:
        """Execute the next worker in this process, with the same sockets and the program on disk, if there is one.

        Signals that the next worker handles are blocked until it does.
        """
        if self.next is None:
            return
        text = self.next.text
        block()
        own = {**environ, INGEST: self.next.ingest, ACCEPTED_STATE: encode_state_directory(self.next.state)}
        own[GENERATION] = str(self.next.generation)
        own |= self.notifier.environ()
        held = [*self.held, *(one for one in self.admin if one.socket.fileno() >= 0)]
        if text is not None:
            pass_descriptor(create_text(text), CONFIGURATION_FD, own, sockets=len(held))
        pass_sockets(held, own)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], own)  # noqa: S606 - ourselves


def inherit(environ: MutableMapping[str, str]) -> Worker:
    """Inherit the sockets and parameters named by the checked environment, and begin to read.

    The variables are removed from the environment, so that children of this process do not get them.

    Raises:
        RelayError: RLY101, a named socket does not exist; RLY102, the settings of ingest are wrong.
    """
    block()
    held = inherit_sockets(environ)
    supervisor, ingest = environ.pop(SUPERVISOR, ""), environ.pop(INGEST, "")
    return Worker(
        held=held,
        supervisor=int(supervisor or 0),
        notifier=Notifier.from_environ(environ, pid=os.getpid()),
        ingest=ingest,
        text=receive_configuration(environ),
        generation=int(environ.pop(GENERATION, "") or 1),
        accepted_state=decode_state_directory(environ.pop(ACCEPTED_STATE, "")),
        deaths=decode_deaths(environ.pop(DEATHS, "")),
    )
