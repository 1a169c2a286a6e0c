"""The plan accepted last, and the sockets of its addresses, which stay open while workers end and start.

This module owns both. A replacement changes them together, before the present worker is asked to hand over: the new
sockets are opened first, and sockets that the new plan does not need stay open until that worker has drained them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.listener.addresses import ADMIN, BoundSocket
from relay.listener.sockets import close_sockets, open_sockets

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from relay.supervisor.plan import Plan


class LastGoodConfig:
    """State: the plan, its sockets, and during a replacement the previous plan and its sockets."""

    def __init__(self, plan: Plan, held: Sequence[BoundSocket]) -> None:
        self.plan = plan
        self.held = list(held)
        self._before: tuple[Plan, list[BoundSocket]] | None = None

    @property
    def is_changing(self) -> bool:
        """Whether a worker of the previous plan may still run."""
        return self._before is not None

    def change(self, plan: Plan) -> list[BoundSocket]:
        """Open the sockets that are new in a plan, and put it in force; `settle` or `revert` ends the change.

        A plan with another text of the configuration is the next generation.

        Returns:
            The sockets that were opened.

        Raises:
            RelayError: RLY101, an address cannot be bound; nothing has changed.
        """
        plan = plan._replace(generation=self.plan.generation + (plan.text != self.plan.text))
        held = open_sockets(plan.wanted, self.held)
        fresh = [one for one in held if one not in self.held]
        self._before = (self.plan, self.held)
        self.plan, self.held = plan, held
        return fresh

    def settle(self) -> None:
        """Close the sockets that only the previous plan needs: its worker has ended."""
        if self._before is not None:
            close_sockets(one for one in self._before[1] if one not in self.held)
        self._before = None

    def revert(self) -> None:
        """Close the new sockets and return to the previous plan: its worker continues."""
        if self._before is not None:
            plan, held = self._before
            close_sockets(one for one in self.held if one not in held)
            self.plan, self.held = plan, held
        self._before = None

    def hold(self, name: str, sock: socket.socket) -> None:
        """Hold a socket of the admin port that a worker opened after another process had released its address."""
        held = [str(one.address) for one in self.held if one.kind == ADMIN]
        for address in self.plan.wanted.admin:
            if str(address) == name and name not in held:
                self.held.append(BoundSocket(ADMIN, sock, address))
                return
        sock.close()

    def close(self) -> None:
        """Close every socket; no worker may be reading."""
        self.settle()
        close_sockets(self.held)
