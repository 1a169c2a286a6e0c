"""One target of copies: resolves its name, connects its socket, reports its error.

A name is looked up in a thread, and `poll` uses the answer when it is there. An IP address needs no lookup: a worker
copies to it from its first datagram on. While a target has no socket, its copies count as dropped.

Does not know: the hot path, the other targets, the log.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final

from relay.config.addresses import loops_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.resolver import Resolver

_SEND_BUFFER: Final = 4 << 20
"""Size of the send buffer asked for: 64 datagrams of the largest size, one batch of a reader."""
_SO_SNDBUFFORCE: Final = 32
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_AGAIN: Final = 60.0
"""Interval between lookups of a name, in seconds: the daemon may have moved."""
_RETRY: Final = 5.0
"""Delay before a failed lookup or connect is tried again, in seconds."""

NOWHERE: Final = -2
"""Passed to the hot path in place of a descriptor: the copies count as dropped."""
LOOP: Final = "it is one of our own addresses: copies would come back for ever"


class Target:
    """State: the connected socket, the time of the next lookup, the answer of the last one, and the current error."""

    def __init__(self, to: str, own: Sequence[tuple[str, int]], resolver: Resolver) -> None:
        self.to = to
        """HOST:PORT, as configured."""
        host, _, port = to.rpartition(":")
        self._host, self._port = host.removeprefix("[").removesuffix("]"), int(port)
        self._own = own
        self._resolver = resolver
        self._is_name = not _addresses_of(self._host, self._port)
        self._answer: list[Any] | OSError | None = None
        self._due = -inf
        self._address: Any = None
        self.is_resolving = False
        self.trouble = ""
        """Why the target receives nothing; "" while no error is known."""
        self.seen_dropped = 0
        """Count of dropped copies at the previous check."""
        self.socket: socket.socket | None = None
        """Connected socket; None while there is no usable address."""

    @property
    def fd(self) -> int:
        """Descriptor of the socket; NOWHERE without one."""
        return NOWHERE if self.socket is None else self.socket.fileno()

    def expire(self) -> None:
        """Make the next `poll` resolve the name again."""
        if self._is_name:
            self._due = -inf

    def poll(self, now: float) -> socket.socket | None:
        """Read pending errors, start a lookup that is due, use the answer of a finished one; never block.

        Args:
            now: monotonic seconds.

        Returns:
            A new socket, which the caller passes to `use`; None if nothing changed.
        """
        self._read_error()
        if self._answer is not None:
            answer, self._answer, self.is_resolving = self._answer, None, False
            return self._use_answer(answer, now)
        if now < self._due or self.is_resolving:
            return None
        if not self._is_name:
            return self._use_answer(_addresses_of(self._host, self._port), now)
        self.is_resolving = True
        self._resolver.look_up(self._host, self._port, kind=socket.SOCK_DGRAM, then=self._answered)
        return None

    def use(self, fresh: socket.socket) -> socket.socket | None:
        """Replace the socket; return the previous one, which the caller closes."""
        before, self.socket = self.socket, fresh
        return before

    def _answered(self, answer: list[Any] | OSError) -> None:
        """Leave the answer for the next `poll`; called in the thread of the lookup."""
        self._answer = answer

    def _use_answer(self, answer: list[Any] | OSError, now: float) -> socket.socket | None:
        """Connect to the first address, unless the one in use is still among them."""
        self._due = now + _RETRY
        fresh = None
        if isinstance(answer, OSError):
            if self._address is None:
                self.trouble = f"{self._host} cannot be looked up: {answer.strerror or answer}"
            return None
        if self._address not in [entry[4] for entry in answer]:
            # IPv4 first: a name may have both, as localhost does, and StatsD daemons listen on IPv4 by default.
            family, *_, address = min(answer, key=lambda entry: entry[0] != socket.AF_INET)
            fresh = self._connect(family, address)
            if fresh is None:
                return None
        self._due = now + (_AGAIN if self._is_name else inf)
        return fresh

    def _connect(self, family: int, address: Any) -> socket.socket | None:  # noqa: ANN401 - its shape depends on the family
        """Return a connected socket; None after a failure, which is then in `trouble`."""
        with ExitStack() as stack:
            try:
                sock = stack.enter_context(_open(family))
                sock.connect(address)
            except OSError as error:
                self.trouble = str(error.strerror)
                return None
            if _is_loop(sock, self._own):
                self.trouble = LOOP
                return None
            stack.pop_all()
        self._address, self.trouble = address, ""
        return sock

    def _read_error(self) -> None:
        """Read the socket's pending error of an earlier datagram: mostly ECONNREFUSED, no process listens there."""
        if self.socket is not None:
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.trouble = f"no process receives there: {os.strerror(number)}" if number else ""


def _addresses_of(host: str, port: int) -> list[Any]:
    """Return the entries of getaddrinfo for an IP address; [] for a name."""
    with suppress(OSError):
        return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=_NUMERIC)
    return []


def _is_loop(sock: socket.socket, own: Sequence[tuple[str, int]]) -> bool:
    """Say whether datagrams sent on the connected socket come back to this relay."""
    ours, (peer, port) = sock.getsockname()[0], sock.getpeername()[:2]
    peer = peer.removeprefix("::ffff:")
    # The kernel sends to a local address from that same address, but to all of 127.0.0.0/8 from 127.0.0.1.
    is_here = peer == ours.removeprefix("::ffff:") or peer.startswith("127.")
    return loops_back(peer, port, own, is_here=is_here)


def _open(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    for option in (_SO_SNDBUFFORCE, socket.SO_SNDBUF):
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, option, _SEND_BUFFER)
            break
    return sock
