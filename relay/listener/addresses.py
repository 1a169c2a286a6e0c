"""Addresses to listen on, as they are asked for and as they are held."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence


UDP: Final = "udp"
TCP: Final = "tcp"
ADMIN: Final = "admin"
"""The TCP socket of the admin port, which no listener reads."""
DGRAM, STREAM, DATADOG = UNIX = ("dgram", "stream", "datadog")
"""Kinds of Unix sockets: datagrams; streams of lines; streams of frames, each with its length before it."""


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


class SocketSpec(NamedTuple):
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
    def from_json(cls, fields: Mapping[str, Any]) -> SocketSpec:
        """Read what JSON made of the fields of one; another release may have more."""
        wanted = cls(**{name: value for name, value in fields.items() if name in cls._fields})
        return wanted._replace(
            udp=[Address(*address) for address in wanted.udp],
            tcp=[Address(*address) for address in wanted.tcp],
            unix=[UnixPath(*path) for path in wanted.unix],
            admin=[Address(*address) for address in wanted.admin],
        )


class BoundSocket(NamedTuple):
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


def wanted_addresses(wanted: SocketSpec) -> list[tuple[str, Address | UnixPath]]:
    """Return every address with its kind of socket."""
    kinds = ((UDP, wanted.udp), (TCP, wanted.tcp), (ADMIN, wanted.admin))
    network = [(kind, address) for kind, addresses in kinds for address in addresses]
    return [*network, *((path.kind, path) for path in wanted.unix)]


class UnixFile(NamedTuple):
    """The file of a socket that was bound here, and how to know it again."""

    path: str
    device: int
    inode: int
    born: int
    """Nanoseconds: the number of an inode alone is used again at once."""

    @classmethod
    def find(cls, path: str) -> UnixFile:
        """Look at what is there.

        Raises:
            OSError: nothing is, or it cannot be seen.
        """
        found = Path(path).lstat()
        return cls(path, found.st_dev, found.st_ino, found.st_mtime_ns)

    def chmod(self, mode: int) -> None:
        """Change the permission bits."""
        with suppress(OSError):
            Path(self.path).chmod(mode)

    def unlink(self) -> None:
        """Remove the file, if it is still the one that was made here."""
        with suppress(OSError):
            if UnixFile.find(self.path) == self:
                Path(self.path).unlink()
