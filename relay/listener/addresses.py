"""Values of the listener: addresses to listen on (`SocketSpec`) and the sockets bound to them (`BoundSocket`).

Values only, but for `UnixFile`, which changes and removes the file of a Unix socket.
"""

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
"""TCP socket of the admin port; admin/ reads it, no listener does."""
DGRAM, STREAM, DATADOG = UNIX = ("dgram", "stream", "datadog")
"""Kinds of Unix sockets: datagrams; streams of lines; streams of frames with a length prefix."""


class Address(NamedTuple):
    """A network address to listen on; `optional`: skipped if this machine does not have it."""

    host: str
    port: int
    optional: bool = False

    def __str__(self) -> str:
        """Return `127.0.0.1:8125` or `[::1]:8125`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def label_of(form: str, bound: tuple[str, int] | str) -> str:
    """Return the label of a socket in metrics: `tcp://127.0.0.1:8125`, `unix-stream:PATH`.

    Args:
        form: `udp`, `tcp`, or `unix-` and the kind.
        bound: result of getsockname: (host, port, ...), or the path of a Unix socket.
    """
    return f"{form}:{bound}" if isinstance(bound, str) else f"{form}://{Address(*bound[:2])}"


class UnixPath(NamedTuple):
    """The path of a Unix socket and its kind, one of `UNIX`."""

    kind: str
    path: str


class SocketSpec(NamedTuple):
    """The sockets that the configuration asks for; passed between processes as JSON."""

    udp: Sequence[Address]
    receive_buffer: int
    readers: int = 1
    """Number of sockets of each UDP address."""
    tcp: Sequence[Address] = ()
    unix: Sequence[UnixPath] = ()
    unix_mode: int = 0o666
    """Permission bits of Unix sockets."""
    take_over: bool = False
    """If an address is in use: take a UDP one over, and skip one of the admin port."""
    admin: Sequence[Address] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> SocketSpec:
        """Return the value of decoded JSON; fields unknown to this release are ignored."""
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
    """None: inherited, opened by another process."""
    file: UnixFile | None = None
    """File of a Unix socket that this process bound."""
    previous_owner: str = ""
    """After a takeover: the process that held the address before, NAME (pid N)."""
    still_receives: str = ""
    """After a takeover: the wildcard address on which that process still receives other packets; "": none."""


def wanted_addresses(wanted: SocketSpec) -> list[tuple[str, Address | UnixPath]]:
    """Return every address with the kind of its socket."""
    kinds = ((UDP, wanted.udp), (TCP, wanted.tcp), (ADMIN, wanted.admin))
    network = [(kind, address) for kind, addresses in kinds for address in addresses]
    return [*network, *((path.kind, path) for path in wanted.unix)]


class UnixFile(NamedTuple):
    """The file of a Unix socket bound by this process, with what identifies it later."""

    path: str
    device: int
    inode: int
    born: int
    """Modification time in nanoseconds: file systems reuse inode numbers at once."""

    @classmethod
    def find(cls, path: str) -> UnixFile:
        """Return the file that is at `path` now.

        Raises:
            OSError: there is no file, or it cannot be inspected.
        """
        found = Path(path).lstat()
        return cls(path, found.st_dev, found.st_ino, found.st_mtime_ns)

    def chmod(self, mode: int) -> None:
        """Change the permission bits."""
        with suppress(OSError):
            Path(self.path).chmod(mode)

    def unlink(self) -> None:
        """Remove the file, unless another one has replaced it."""
        with suppress(OSError):
            if UnixFile.find(self.path) == self:
                Path(self.path).unlink()
