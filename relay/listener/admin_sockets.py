"""The listening sockets of the admin port: inherited from the supervisor, or opened here.

At the first start an address that cannot be bound is an error. A worker that already receives datagrams on inherited
sockets runs without that address and tries again: a foreign process on the admin port must not stop ingestion.

Owns opening and closing. Does not know HTTP or the console: admin/ reads the sockets.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from relay.config.addresses import join_address
from relay.errors import RelayError
from relay.listener.addresses import ADMIN, Address, BoundSocket
from relay.listener.sockets import open_tcp_if_there

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


class AdminSockets:
    """State: the open sockets, the addresses still missing, and why they are missing.

    Args:
        wanted: addresses to listen on.
        inherited: open sockets; those on other addresses are closed.
        waits: an address that cannot be bound stays missing; otherwise it is an error.
        hold: called with each socket opened here; its receiver keeps the socket open beyond this process.
    """

    def __init__(
        self,
        wanted: Sequence[Address],
        inherited: Sequence[BoundSocket] = (),
        *,
        waits: bool = False,
        hold: Callable[[BoundSocket], None] | None = None,
    ) -> None:
        self._waits = waits
        self._hold = hold
        self._opened: list[socket.socket] = []
        self.missing = [address for address in wanted if not any(_has(one, address) for one in inherited)]
        self.inherited = [one.socket for one in inherited if any(_has(one, address) for address in wanted)]
        self.trouble = ""
        """Why an address is missing."""
        for one in inherited:
            if one.socket not in self.inherited:
                one.socket.close()

    @property
    def addresses(self) -> list[str]:
        """Each HOST:PORT that is inherited or to be opened."""
        return [*(join_address(*one.getsockname()[:2]) for one in self.inherited), *map(str, self.missing)]

    def open_missing(self) -> list[socket.socket]:
        """Try to open every missing address; return the sockets that were opened.

        Raises:
            RelayError: RLY101, an address cannot be bound and `waits` is off.
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
        """Close the sockets that were opened here, unless `hold` received them."""
        if not self._hold:
            for one in self._opened:
                one.close()


def _has(held: BoundSocket, address: Address) -> bool:
    """Return whether a socket listens on the address; port 0 means any."""
    host, port = held.socket.getsockname()[:2]
    return ip_address(host) == ip_address(address.host) and address.port in (0, port)
