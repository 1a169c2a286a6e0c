"""Opens and closes the sockets that a relay receives on.

The supervisor opens them, reads nothing and outlives every worker; a worker inherits them (socket_activation.py). A
relay without a supervisor opens them itself. The supervisor imports this module, so it imports little.

Invariant: an address is first bound without SO_REUSEPORT, so that a second relay on it is an error (RLY101) and never a
silent split of the traffic. It is shared afterwards, if several readers are configured. The number of sockets of an
address is fixed when it is opened: a socket without a reader would fill and drop packets.

Does not know: readers, the hot path.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.addresses import (
    ADMIN,
    DGRAM,
    TCP,
    UDP,
    Address,
    BoundSocket,
    SocketSpec,
    UnixPath,
    wanted_addresses,
)
from relay.listener.bind import bind_tcp, bind_udp, bind_unix

if TYPE_CHECKING:
    from collections.abc import Iterable


_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_sockets(wanted: SocketSpec, held: Iterable[BoundSocket] = ()) -> list[BoundSocket]:
    """Open every wanted socket that is not in `held`; all or nothing.

    Returns:
        Every wanted socket, in the order of `wanted`. The caller closes the other sockets of `held`.

    Raises:
        RelayError: RLY101, an address cannot be bound.
    """
    known = list(held)
    opened: list[BoundSocket] = []
    found: dict[tuple[str, Address | UnixPath], list[BoundSocket]] = {}
    addresses = wanted_addresses(wanted)
    try:
        # UDP last: if another address fails, no packet was steered away from the daemon being replaced.
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


def _open(
    wanted: SocketSpec, kind: str, address: Address | UnixPath, known: Iterable[BoundSocket]
) -> list[BoundSocket]:
    if isinstance(address, UnixPath):
        return [open_unix(address, mode=wanted.unix_mode)]
    # Only the admin port may be bound beside held sockets, as 0.0.0.0 beside 127.0.0.1, which the caller then closes:
    # on other sockets the lines that wait in the closed one would be lost.
    if kind == ADMIN:
        beside = [one.socket for one in known if one.kind == ADMIN and one.socket.getsockname()[1] == address.port]
        return open_tcp_if_there(address, kind=kind, waits=wanted.take_over, beside=beside)
    if kind == TCP:
        return open_tcp_if_there(address)
    return open_udp(address, receive_buffer=wanted.receive_buffer, readers=wanted.readers, take_over=wanted.take_over)


def close_sockets(held: Iterable[BoundSocket]) -> None:
    """Close sockets and remove the files of Unix sockets made by this process; unread data is lost."""
    for one in held:
        one.socket.close()
        if one.file:
            one.file.unlink()


def open_udp(address: Address, *, receive_buffer: int, readers: int = 1, take_over: bool = False) -> list[BoundSocket]:
    """Bind a UDP address, once for each reader; return [] for an optional address that this machine does not have.

    Raises:
        RelayError: RLY101, it cannot be bound or taken over.
    """
    try:
        first = bind_udp(address, receive_buffer, shared=False)
    except OSError as error:
        if address.optional and error.errno in _ABSENT:
            return []
        if take_over and error.errno == errno.EADDRINUSE:
            from relay.listener.takeover import take_over_udp  # noqa: PLC0415 - needed with --take-over only

            return [take_over_udp(address, receive_buffer=receive_buffer)]
        raise _explain(error, "udp", address) from error
    found = [BoundSocket(UDP, first, address)]
    if readers > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound = address._replace(port=first.getsockname()[1])
        found += [BoundSocket(UDP, bind_udp(bound, receive_buffer, shared=True), address) for _ in range(1, readers)]
    return found


def open_tcp(address: Address, *, kind: str = TCP, beside: Iterable[socket.socket] = ()) -> BoundSocket:
    """Bind a TCP address and listen; `kind` is `TCP` or `ADMIN`; `beside`: see `bind_tcp`.

    Raises:
        RelayError: RLY101, it cannot be bound.
    """
    try:
        return BoundSocket(kind, bind_tcp(address.host, address.port, beside=beside), address)
    except OSError as error:
        raise _explain(error, kind, address) from error


def open_tcp_if_there(
    address: Address, *, kind: str = TCP, waits: bool = False, beside: Iterable[socket.socket] = ()
) -> list[BoundSocket]:
    """Open a TCP address as `open_tcp` does; return [] where it is legitimately absent.

    Absent: an optional address that this machine does not have; with `waits`, also an address in use.

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


def open_unix(address: UnixPath, *, mode: int) -> BoundSocket:
    """Bind a Unix socket; a stream socket also listens.

    Raises:
        RelayError: RLY101, the path is in use, is not a socket, or cannot be used.
    """
    kind = socket.SOCK_DGRAM if address.kind == DGRAM else socket.SOCK_STREAM
    sock, file = bind_unix(address.path, kind=kind, mode=mode)
    return BoundSocket(address.kind, sock, address, file)


def _explain(error: OSError, kind: str, address: Address) -> RelayError:
    what = f"admin port {address}" if kind == ADMIN else f"{kind} {address}"
    message, fix = f"cannot bind {what}: {error.strerror}", "listen on another address"
    if error.errno == errno.EADDRINUSE:
        from relay.listener.socket_owner import find_owner, is_relay  # noqa: PLC0415 - needed after a failure only

        owner = find_owner(address.port, UDP if kind == UDP else TCP)
        message = f"cannot bind {what}: in use{f' by {owner}' if owner else ''}"
        fix = "stop it, or listen on another port"
        if owner and is_relay(owner):
            message += ", a relay"
            fix = "stop that relay, or let it change: reload for a changed file, reload --upgrade for a new release"
        elif kind == UDP:
            fix += "; run --take-over replaces it without losing a packet"
        elif kind == ADMIN:
            fix = 'stop it, give [admin] listen another port, or listen = "" for none'
    elif error.errno == errno.EACCES:
        fix = "ports below 1024 need CAP_NET_BIND_SERVICE; StatsD's is 8125"
    elif error.errno in _ABSENT:
        fix = "this machine has no such address; 0.0.0.0 means every IPv4 one, [::] every IPv6 one"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
