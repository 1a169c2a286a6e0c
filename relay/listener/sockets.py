"""The sockets that receive: opened, and closed.

Whoever opens them may be the supervisor, which never reads and outlives every worker, or a relay on its own. A worker
is given them (handover.py). Imported by the supervisor, so it imports next to nothing.

Invariant: an address is first bound without SO_REUSEPORT, so that a second relay on it is an error (RLY101) and never a
silent split of the traffic; only then is it shared, when several readers are wanted. How many sockets an address has is
fixed by who opened them: one without a reader would fill and drop.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relay.listener.unix import UnixFile

UDP: Final = "udp"
TCP: Final = "tcp"
ADMIN: Final = "admin"
"""The TCP socket of the admin port, which no listener reads."""
DGRAM, STREAM, DATADOG = UNIX = ("dgram", "stream", "datadog")
"""Kinds of Unix sockets: datagrams; streams of lines; streams of frames, each with its length before it."""
_SO_RCVBUFFORCE: Final = 33
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Address(NamedTuple):
    """Where to listen; `optional`: this machine may not have it."""

    host: str
    port: int
    optional: bool = False

    def __str__(self) -> str:
        """`127.0.0.1:8125` or `[::1]:8125`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixPath(NamedTuple):
    """Where to listen, and for what: one of `UNIX`."""

    kind: str
    path: str


class Wanted(NamedTuple):
    """What the configuration asks for; travels as JSON."""

    udp: Sequence[Address]
    receive_buffer: int
    readers: int = 1
    """Sockets of each UDP address."""
    tcp: Sequence[Address] = ()
    unix: Sequence[UnixPath] = ()
    unix_mode: int = 0o666
    """Permission bits of Unix sockets."""
    take_over: bool = False
    """Take UDP addresses over from who has bound them, and do without those of the admin port, instead of failing."""
    admin: Sequence[Address] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Wanted:
        """Read what JSON made of the fields of one; another release may have more."""
        wanted = cls(**{name: value for name, value in fields.items() if name in cls._fields})
        return wanted._replace(
            udp=[Address(*address) for address in wanted.udp],
            tcp=[Address(*address) for address in wanted.tcp],
            unix=[UnixPath(*path) for path in wanted.unix],
            admin=[Address(*address) for address in wanted.admin],
        )


class Held(NamedTuple):
    """An open socket, its kind, and the address that was asked for (its port may have been 0)."""

    kind: str
    """`UDP`, `TCP`, `ADMIN` or one of `UNIX`."""
    socket: socket.socket
    address: Address | UnixPath | None = None
    """None: somebody else opened it."""
    file: UnixFile | None = None
    """Of a Unix socket, if it was made here."""
    giver: str = ""
    """The process whose address it shares, and whose packets it gets."""
    keeps: str = ""
    """The address on which that process goes on to get all other packets; "": it gets none."""


# --- opening ----------------------------------------------------------------------------------------------------------


def open_sockets(wanted: Wanted, held: Iterable[Held] = ()) -> list[Held]:
    """Open what is wanted and not yet held; all or nothing.

    Returns:
        Every socket that is wanted, in the order of `wanted`; the others of `held` remain the caller's to close.

    Raises:
        RelayError: RLY101, an address cannot be bound.
    """
    known = list(held)
    opened: list[Held] = []
    found: dict[tuple[str, Address | UnixPath], list[Held]] = {}
    addresses = wanted_addresses(wanted)
    try:
        # UDP last: if another cannot be opened, nothing was taken from the daemon that is being replaced.
        for kind, address in sorted(addresses, key=lambda one: one[0] == UDP):
            kept = [one for one in known if (one.kind, one.address) == (kind, address)]
            fresh = [] if kept else _open(wanted, kind, address, known)
            for file in filter(None, (one.file for one in kept)):
                file.chmod(wanted.unix_mode)
            opened += fresh
            found[kind, address] = kept or fresh
    except RelayError:
        close_sockets(opened)
        raise
    return [one for address in addresses for one in found[address]]


def wanted_addresses(wanted: Wanted) -> list[tuple[str, Address | UnixPath]]:
    """Return every address with its kind of socket."""
    kinds = ((UDP, wanted.udp), (TCP, wanted.tcp), (ADMIN, wanted.admin))
    network = [(kind, address) for kind, addresses in kinds for address in addresses]
    return [*network, *((path.kind, path) for path in wanted.unix)]


def _open(wanted: Wanted, kind: str, address: Address | UnixPath, known: Iterable[Held]) -> list[Held]:
    if isinstance(address, UnixPath):
        return [open_unix(address, mode=wanted.unix_mode)]
    if kind == ADMIN:  # 0.0.0.0 beside 127.0.0.1, which is to be closed; what waits in a socket of lines would be lost
        beside = [one.socket for one in known if one.kind == ADMIN and one.socket.getsockname()[1] == address.port]
        return open_tcp_if_there(address, kind=kind, waits=wanted.take_over, beside=beside)
    if kind == TCP:
        return open_tcp_if_there(address)
    return open_udp(address, receive_buffer=wanted.receive_buffer, readers=wanted.readers, take_over=wanted.take_over)


def close_sockets(held: Iterable[Held]) -> None:
    """Close them, and remove the files of Unix sockets that were made here; what waits in them is lost."""
    for one in held:
        one.socket.close()
        if one.file:
            one.file.unlink()


def open_udp(address: Address, *, receive_buffer: int, readers: int = 1, take_over: bool = False) -> list[Held]:
    """Bind a UDP address, once for each reader; an optional address that does not exist gives none.

    Raises:
        RelayError: RLY101, it cannot be bound, or not be taken over.
    """
    try:
        first = bind_udp(address, receive_buffer, shared=False)
    except OSError as error:
        if address.optional and error.errno in _ABSENT:
            return []
        if take_over and error.errno == errno.EADDRINUSE:
            from relay.listener.takeover import take_udp  # noqa: PLC0415 - only who replaces a daemon pays for it

            return [take_udp(address, receive_buffer=receive_buffer)]
        raise _explain(error, "udp", address) from error
    found = [Held(UDP, first, address)]
    if readers > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound = address._replace(port=first.getsockname()[1])
        found += [Held(UDP, bind_udp(bound, receive_buffer, shared=True), address) for _ in range(1, readers)]
    return found


def bind_udp(
    address: Address, receive_buffer: int, *, shared: bool, user: int | None = None, dual: bool = False
) -> socket.socket:
    """Bind one socket.

    Args:
        address: where.
        receive_buffer: bytes asked for.
        shared: others may have bound it, too, and so may others after us.
        user: whom it belongs to; None: to us.
        dual: an IPv6 address hears IPv4 as well.

    Raises:
        OSError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if user is not None:
            os.fchown(sock.fileno(), user, -1)
        ask_for_buffer(sock, receive_buffer)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def open_tcp(address: Address, *, kind: str = TCP, beside: Iterable[socket.socket] = ()) -> Held:
    """Bind a TCP address and listen; `kind` is `TCP` or `ADMIN`, `beside` as in tcp.py.

    Raises:
        RelayError: RLY101, it cannot be bound.
    """
    from relay.listener.tcp import bind_tcp  # noqa: PLC0415 - only who has such sockets pays for it

    try:
        return Held(kind, bind_tcp(address.host, address.port, beside=beside), address)
    except OSError as error:
        raise _explain(error, kind, address) from error


def open_tcp_if_there(
    address: Address, *, kind: str = TCP, waits: bool = False, beside: Iterable[socket.socket] = ()
) -> list[Held]:
    """Do the same; an optional address that does not exist gives none, nor, with `waits`, one that is in use.

    Raises:
        RelayError: RLY101, it cannot be bound.
    """
    try:
        return [open_tcp(address, kind=kind, beside=beside)]
    except RelayError as error:
        number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        if (waits and number == errno.EADDRINUSE) or (address.optional and number in _ABSENT):
            return []
        raise


def open_unix(address: UnixPath, *, mode: int) -> Held:
    """Bind a Unix socket; one of streams listens.

    Raises:
        RelayError: RLY101, the path is in use, is something else, or cannot be used.
    """
    from relay.listener.unix import bind_unix  # noqa: PLC0415 - only who has such sockets pays for it

    kind = socket.SOCK_DGRAM if address.kind == DGRAM else socket.SOCK_STREAM
    sock, file = bind_unix(address.path, kind=kind, mode=mode)
    return Held(address.kind, sock, address, file)


def ask_for_buffer(sock: socket.socket, size: int) -> None:
    """Ask for a receive buffer of so many bytes, beyond the system's limit if we may."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        except PermissionError:
            continue
        break


def enlarge_buffer(sock: socket.socket, size: int) -> None:
    """Ask for more than another process asked for, if we may; an unprivileged wish could only shrink it."""
    if granted_buffer(sock) < size:
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def granted_buffer(sock: socket.socket) -> int:
    """Return the bytes of the receive buffer; the kernel keeps as much again for its own use."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _explain(error: OSError, kind: str, address: Address) -> RelayError:
    what = f"admin port {address}" if kind == ADMIN else f"{kind} {address}"
    message, fix = f"cannot bind {what}: {error.strerror}", "listen on another address"
    if error.errno == errno.EADDRINUSE:
        from relay.listener.owner import find_owner  # noqa: PLC0415 - only who fails pays for it

        message = f"cannot bind {what}: in use{find_owner(address.port, UDP if kind == UDP else TCP)}"
        fix = "stop it, or listen on another port"
        if kind == UDP:
            fix += "; run --take-over takes its place without losing a packet"
        elif kind == ADMIN:
            fix = 'stop it, give [admin] listen another port, or listen = "" for none'
    elif error.errno == errno.EACCES:
        fix = "ports below 1024 need CAP_NET_BIND_SERVICE; StatsD's is 8125"
    elif error.errno in _ABSENT:
        fix = "this machine has no such address; 0.0.0.0 means every IPv4 one, [::] every IPv6 one"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
