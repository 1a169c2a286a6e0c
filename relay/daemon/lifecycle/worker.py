"""What a worker was given by its parent, and whether that parent is still there.

Three parents are known: our supervisor (RELAY_SUPERVISOR), systemd or whoever speaks its protocol, and a worker that
has put another one in its own place.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from relay import anonymous_file
from relay.daemon.ingest import begin
from relay.listener.addresses import ADMIN
from relay.listener.socket_activation import (
    INGEST,
    SUCCESSOR,
    SUPERVISOR,
    TEXT,
    accepted,
    accepted_state,
    give,
    give_descriptor,
    take_inherited,
    take_text,
)
from relay.supervisor.notify import ACCEPTED, HOLD, REBIND, Notifier
from relay.supervisor.signals import block

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from relay.daemon.ingest import Ingest
    from relay.listener.addresses import BoundSocket


class Next(Protocol):
    """What the next worker begins with: a plan of the supervisor's."""

    @property
    def ingest(self) -> str:
        """The settings of its ingest."""
        ...

    @property
    def text(self) -> str | None:
        """Of the configuration file."""
        ...

    @property
    def state(self) -> str:
        """The state directory."""
        ...


class Worker:
    """State: the sockets and what reads them already, the supervisor's pid, who is told, and the configuration.

    `held` receive; `admin` are those of the admin port, which the relay on its own opens (listener/admin_sockets.py).
    """

    def __init__(
        self,
        *,
        held: Sequence[BoundSocket] = (),
        supervisor: int = 0,
        notifier: Notifier | None = None,
        ingest: str = "",
        text: str | None = None,
        accepted_state: str | None = None,
    ) -> None:
        self.held = [one for one in held if one.kind != ADMIN]
        self.admin = [one for one in held if one.kind == ADMIN]
        self.supervisor = supervisor
        """Its pid; 0: there is none."""
        self.notifier = notifier or Notifier()
        self.text = text
        """Of the configuration file, as it is in force; None: what is on disk."""
        self.accepted_state = accepted_state
        """The state directory of the worker before this one, "" for none; None: it is the first."""
        self.next: Next | None = None
        """With what the next worker begins, in this process."""
        self.ingest: Ingest | None = begin(ingest, self.held) if ingest and self.held else None

    def __repr__(self) -> str:
        """Report the parent."""
        return f"<Worker {len(self.held)} sockets, supervisor {self.supervisor or 'none'}>"

    @property
    def is_orphaned(self) -> bool:
        """Whether the supervisor has died: nobody would restart this worker, nor stop it."""
        return bool(self.supervisor) and os.getppid() != self.supervisor

    @property
    def origin(self) -> str:
        """Where the sockets come from."""
        if not self.held:
            return "own"
        return "the supervisor" if self.supervisor else "socket activation"

    def close(self) -> None:
        """End the threads that read, if a start has failed before anybody else could."""
        if self.ingest:
            self.ingest.stop()

    def hold_admin(self) -> Callable[[BoundSocket], None] | None:
        """Return how a socket outlives this worker: the supervisor holds it, or the next one gets it; None: not."""
        return None if not self.held else self._send_admin if self.supervisor else self.admin.append

    def _send_admin(self, one: BoundSocket) -> None:
        self.notifier.send(f"{HOLD}{one.address}", descriptor=one.socket.fileno())

    def accept(self, plan: str, *, is_rebinding: bool) -> None:
        """Tell the supervisor what is in force from now on, or what is to be by a replacement; with none, nothing.

        Raises:
            OSError: it cannot be told; a worker that comes next would not have what is accepted.
        """
        if self.supervisor:
            descriptor = anonymous_file.create(plan)
            try:
                self.notifier.deliver(REBIND if is_rebinding else ACCEPTED, descriptor=descriptor)
            finally:
                os.close(descriptor)

    def become_next(self, environ: MutableMapping[str, str]) -> None:
        """Put the next worker in the place of this one: same process, same sockets, the program as it is now on disk.

        The signals that the next one will handle wait until it does.
        """
        if self.next is None:
            return
        text = self.next.text
        block()
        own = dict(environ) | {INGEST: self.next.ingest, SUCCESSOR: accepted(self.next.state)} | self.notifier.environ()
        held = [*self.held, *(one for one in self.admin if one.socket.fileno() >= 0)]
        if text is not None:
            give_descriptor(anonymous_file.create(text), TEXT, own, sockets=len(held))
        give(held, own)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], own)  # noqa: S606 - ourselves


def inherit(environ: MutableMapping[str, str]) -> Worker:
    """Take what the checked environment says this process was given, and begin to read; its children are not told.

    Raises:
        RelayError: RLY101, a socket that is promised is not there; RLY102, no settings to read with.
    """
    block()
    held = take_inherited(environ)
    supervisor, ingest = environ.pop(SUPERVISOR, ""), environ.pop(INGEST, "")
    return Worker(
        held=held,
        supervisor=int(supervisor or 0),
        notifier=Notifier.take(environ, pid=os.getpid()),
        ingest=ingest,
        text=take_text(environ),
        accepted_state=accepted_state(environ.pop(SUCCESSOR, "")),
    )
