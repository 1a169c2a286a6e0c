"""What a worker was given by its parent, and whether that parent is still there.

Three parents are known: our supervisor (RELAY_SUPERVISOR), systemd or whoever speaks its protocol, and a worker that
has put another one in its own place.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relay.ingest import begin
from relay.listener.handover import INGEST, SUPERVISOR, give, take_inherited
from relay.notify import Notifier
from relay.proven import Proven
from relay.signals import hold_back

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from relay.ingest import Ingest
    from relay.listener.sockets import Held


class Worker:
    """State: the sockets and what reads them already, the supervisor's pid, who is told, and what worked last."""

    def __init__(
        self,
        *,
        held: Sequence[Held] = (),
        supervisor: int = 0,
        notifier: Notifier | None = None,
        ingest: str = "",
        proven: Proven | None = None,
    ) -> None:
        self.held = held
        self.supervisor = supervisor
        """Its pid; 0: there is none."""
        self.notifier = notifier or Notifier()
        self.proven = proven or Proven()
        self.ingest: Ingest | None = begin(ingest, held) if ingest and held else None

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

    def become_next(self, ingest: str, environ: MutableMapping[str, str]) -> None:
        """Put a new worker in the place of this one: same process, same sockets, the program as it is now on disk.

        The signals that the next one will handle wait until it does.
        """
        hold_back()
        own = dict(environ) | {INGEST: ingest} | self.notifier.environ()
        give(self.held, own)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], own)  # noqa: S606 - ourselves


def take_over(environ: MutableMapping[str, str]) -> Worker:
    """Take what the environment says this process was given, and begin to read; its children are not told."""
    hold_back()
    held = take_inherited(environ)
    supervisor, ingest = environ.pop(SUPERVISOR, ""), environ.pop(INGEST, "")
    proven = Proven.take(environ)
    return Worker(
        held=held,
        supervisor=int(supervisor) if supervisor.isdigit() else 0,
        notifier=Notifier.take(environ, pid=os.getpid()),
        ingest=ingest,
        proven=proven if supervisor else None,
    )
