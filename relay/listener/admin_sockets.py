"""The sockets of the admin port: given by the process that holds them over the end of a worker, or opened here.

An address that is refused is an error where nothing runs yet. Where datagrams are received already, on sockets that
outlive this process, the relay does without the address and tries again: no other user of the machine may end what
receives by taking a port. What reads the sockets is for admin/; here they are opened and closed.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from relay.errors import RelayError
from relay.listener.addresses import ADMIN, Address, BoundSocket
from relay.listener.sockets import open_tcp_if_there

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


class AdminSockets:
    """State: the sockets that are open, the addresses that are not, and why.

    Args:
        wanted: addresses.
        given: sockets that another process opened; those of other addresses are closed.
        waits: an address that is refused stays missing instead of being an error.
        hold: takes each socket that is opened here, and holds it when this relay has ended.
    """

    def __init__(
        self,
        wanted: Sequence[Address],
        given: Sequence[BoundSocket] = (),
        *,
        waits: bool = False,
        hold: Callable[[BoundSocket], None] | None = None,
    ) -> None:
        self._waits = waits
        self._hold = hold
        self._opened: list[socket.socket] = []
        self.missing = [address for address in wanted if not any(_has(one, address) for one in given)]
        self.given = [one.socket for one in given if any(_has(one, address) for address in wanted)]
        self.trouble = ""
        """Why an address is missing."""
        for one in given:
            if one.socket not in self.given:
                one.socket.close()

    def __repr__(self) -> str:
        """Report the addresses."""
        return f"<AdminSockets {len(self.given) + len(self._opened)} open, {len(self.missing)} missing>"

    def open_missing(self) -> list[socket.socket]:
        """Open what can be opened by now; return it.

        Raises:
            RelayError: RLY101, an address cannot be bound, and such are not waited for.
        """
        return [one for address in list(self.missing) for one in self._open(address)]

    def _open(self, address: Address) -> list[socket.socket]:
        try:
            found = open_tcp_if_there(address, kind=ADMIN)
        except RelayError as error:
            self.trouble = error.brief()
            if self._waits:
                return []
            raise
        self.missing.remove(address)
        for one in found:
            self._opened.append(one.socket)
            if self._hold:
                self._hold(one)
        return [one.socket for one in found]

    def close(self) -> None:
        """Close what was opened here, unless something holds it."""
        if not self._hold:
            for one in self._opened:
                one.close()


def _has(held: BoundSocket, address: Address) -> bool:
    """Say whether a socket listens on the address; port 0 means any."""
    host, port = held.socket.getsockname()[:2]
    return ip_address(host) == ip_address(address.host) and address.port in (0, port)
