"""The sockets that receive: opened, or taken over from who holds them.

Whoever opens them may be the supervisor, which never reads and outlives every worker, or a relay on its own. A worker
takes them over with systemd's protocol: descriptors from 3 on, counted by LISTEN_FDS, named by LISTEN_FDNAMES, meant
for the process LISTEN_PID. Imported by the supervisor, so it imports next to nothing.

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
    from collections.abc import Iterable, MutableMapping, Sequence

    from relay.listener.unix import UnixFile

FIRST_FD: Final = 3
"""sd_listen_fds(3): SD_LISTEN_FDS_START."""
SUPERVISOR: Final = "RELAY_SUPERVISOR"
"""Variable beside systemd's: the pid of our supervisor."""
INGEST: Final = "RELAY_INGEST"
"""And the settings with which its worker begins to read."""
UDP: Final = "udp"
TCP: Final = "tcp"
DGRAM: Final = "dgram"
STREAM: Final = "stream"
DATADOG: Final = "datadog"
"""Kinds of sockets, as LISTEN_FDNAMES calls them: the last three are Unix sockets."""
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


class Wanted(NamedTuple):
    """What the configuration asks for."""

    udp: Sequence[Address]
    receive_buffer: int
    readers: int = 1
    """Sockets of each UDP address."""
    tcp: Sequence[Address] = ()
    unix: Sequence[tuple[str, str]] = ()
    """Kind and path."""
    unix_mode: int = 0o666

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Wanted:
        """Read what JSON makes of one."""
        udp, receive_buffer, readers, tcp, unix, unix_mode = fields
        addresses = [[Address(*address) for address in one] for one in (udp, tcp)]
        return cls(
            addresses[0], receive_buffer, readers, addresses[1], [(kind, path) for kind, path in unix], unix_mode
        )

    def places(self) -> list[tuple[str, Address | str]]:
        """Return kind and address of each socket, or group of sockets."""
        return [*((UDP, address) for address in self.udp), *((TCP, address) for address in self.tcp), *self.unix]


class Held(NamedTuple):
    """An open socket, its kind, and the address that was asked for (its port may have been 0)."""

    kind: str
    socket: socket.socket
    address: Address | str | None = None
    """None: somebody else opened it."""
    file: UnixFile | None = None
    """Of a Unix socket that was opened here."""


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
    found: list[Held] = []
    try:
        for kind, address in wanted.places():
            kept = [one for one in known if (one.kind, one.address) == (kind, address)]
            fresh = [] if kept else _open(kind, address, wanted)
            opened += fresh
            found += kept or fresh
    except RelayError:
        close_sockets(opened)
        raise
    return found


def _open(kind: str, address: Address | str, wanted: Wanted) -> list[Held]:
    """Import only what is wanted: most relays have UDP alone."""
    if kind == UDP and isinstance(address, Address):
        return open_udp(address, receive_buffer=wanted.receive_buffer, readers=wanted.readers)
    if kind == TCP and isinstance(address, Address):
        from relay.listener.tcp import bind_tcp  # noqa: PLC0415 - see above

        return [Held(TCP, bind_tcp(address), address)]
    from relay.listener.unix import bind_unix  # noqa: PLC0415 - see above

    form = socket.SOCK_DGRAM if kind == DGRAM else socket.SOCK_STREAM
    bound, file = bind_unix(str(address), kind=form, mode=wanted.unix_mode)
    return [Held(kind, bound, address, file)]


def close_sockets(held: Iterable[Held]) -> None:
    """Close them; what waits in them is lost. The file of a Unix socket goes if it is still its own."""
    for one in held:
        if one.file:
            one.file.unlink()
        one.socket.close()


def open_udp(address: Address, *, receive_buffer: int, readers: int = 1) -> list[Held]:
    """Bind a UDP address, once for each reader; an optional address that does not exist gives none.

    Raises:
        RelayError: RLY101, it cannot be bound.
    """
    try:
        first = _bind_udp(address, receive_buffer, shared=False)
    except OSError as error:
        if address.optional and error.errno in _ABSENT:
            return []
        raise explain(error, "udp", address) from error
    found = [Held(UDP, first, address)]
    if readers > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound = address._replace(port=first.getsockname()[1])
        found += [Held(UDP, _bind_udp(bound, receive_buffer, shared=True), address) for _ in range(1, readers)]
    return found


def _bind_udp(address: Address, receive_buffer: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ask_for_buffer(sock, receive_buffer)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


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


def explain(error: OSError, kind: str, address: Address) -> RelayError:
    """Say why an address cannot be bound, and what helps."""
    message, fix = f"cannot bind {kind} {address}: {error.strerror}", "listen on another address"
    if error.errno == errno.EADDRINUSE:
        from relay.listener.owner import find_owner  # noqa: PLC0415 - only who fails pays for it

        message = f"cannot bind {kind} {address}: in use{find_owner(address.port, kind)}"
        fix = "stop it, or listen on another port"
    elif error.errno == errno.EACCES:
        fix = "ports below 1024 need CAP_NET_BIND_SERVICE; StatsD's is 8125"
    elif error.errno in _ABSENT:
        fix = "this machine has no such address; 0.0.0.0 means every IPv4 one, [::] every IPv6 one"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)


# --- handing over -----------------------------------------------------------------------------------------------------


def are_inherited(environ: MutableMapping[str, str]) -> bool:
    """Say whether this process was given sockets."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") not in ("", "0")


def take_inherited(environ: MutableMapping[str, str]) -> list[Held]:
    """Take over the sockets this process was given; a child of it is not given them again.

    Returns:
        All of them, ready for reading without blocking. Sockets of an address that has several stay in their order.
    """
    count = int(environ.pop("LISTEN_FDS", "0")) if are_inherited(environ) else 0
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PID", None)
    found: list[Held] = []
    for index, fd in enumerate(range(FIRST_FD, FIRST_FD + count)):
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        sock.set_inheritable(False)
        found.append(Held(_kind_of(sock, names[index] if index < len(names) else ""), sock))
    return found


def _kind_of(sock: socket.socket, name: str) -> str:
    """Ask the socket; only the framing of a Unix stream is told by its name."""
    is_unix, is_datagram = sock.family == socket.AF_UNIX, sock.type == socket.SOCK_DGRAM
    if not is_unix:
        return UDP if is_datagram else TCP
    if is_datagram:
        return DGRAM
    return DATADOG if name == DATADOG else STREAM


def give(held: Sequence[Held], environ: MutableMapping[str, str]) -> None:
    """Put sockets where the program that this process becomes next by exec finds them; nothing else may follow."""
    above = FIRST_FD + len(held)
    import fcntl  # noqa: PLC0415 - of the child alone

    copies = [fcntl.fcntl(one.socket.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for one in held]
    for index, copy in enumerate(copies):
        os.dup2(copy, FIRST_FD + index, inheritable=True)
    environ["LISTEN_PID"] = str(os.getpid())
    environ["LISTEN_FDS"] = str(len(held))
    environ["LISTEN_FDNAMES"] = ":".join(one.kind for one in held)
