"""Who holds a port or a Unix socket.

For the one error message that everybody meets when replacing a daemon, and for taking its socket over.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC: Final = Path("/proc")


class SocketOwner(NamedTuple):
    """A process that holds a socket."""

    pid: int
    name: str
    fd: int
    """Its descriptor of the socket."""

    def __str__(self) -> str:
        """`node (pid 812)`."""
        return f"{self.name} (pid {self.pid})"


def find_owner(port: int, protocol: str = "udp") -> str:
    """Return ` by NAME (pid N)`, as far as this user may see it; "" otherwise."""
    return _by(find_owners(port, protocol))


def find_owners(port: int, protocol: str = "udp") -> Iterator[SocketOwner]:
    """Yield who holds a socket of this port, as far as this user may see it."""
    return _find({_link(inode) for inode in _inodes(port, protocol)})


def find_sharing(inode: int) -> set[str]:
    """Return the links of all sockets that have the very address of a UDP socket, its own among them."""
    for name in ("udp", "udp6"):
        entries = list(_entries(name))
        local = [entry[1] for entry in entries if entry[9] == str(inode)]
        if local:
            return {_link(entry[9]) for entry in entries if entry[1] == local[0]}
    return set()


def held_by(pid: int) -> set[str]:
    """Return what a process's descriptors are links to.

    Raises:
        OSError: it has gone, or we may not look.
    """
    found = set()
    for link in (_PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):  # the one that this list is read by has gone
            found.add(str(link.readlink()))
    return found


def is_relay(owner: SocketOwner) -> bool:
    """Say whether a process is one of ours, by what it was started as."""
    with suppress(OSError):
        command = (_PROC / str(owner.pid) / "cmdline").read_bytes()
        return b"/statsd-relay\0" in b"/" + command or b"\0-m\0relay\0" in command
    return False


def find_unix_owner(path: str) -> str:
    """Return the same as `find_owner` for who made the Unix socket at `path`."""
    with suppress(OSError):
        entries = [line.split(maxsplit=7) for line in (_PROC / "net" / "unix").read_text().splitlines()[1:]]
        return _by(_find({_link(entry[6]) for entry in entries if entry[7:] == [path]}))
    return ""


def _by(owners: Iterator[SocketOwner]) -> str:
    owner = next(owners, None)
    return f" by {owner}" if owner else ""


def _find(sockets: set[str]) -> Iterator[SocketOwner]:
    with suppress(OSError):
        for process in _PROC.iterdir():
            if process.name.isdigit():
                yield from _held(process, sockets)


def _held(process: Path, sockets: set[str]) -> Iterator[SocketOwner]:
    """Yield the descriptors by which a process holds one of the sockets; it may end meanwhile."""
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            if str(link.readlink()) in sockets:
                yield SocketOwner(int(process.name), (process / "comm").read_text().strip(), int(link.name))


def _inodes(port: int, protocol: str) -> Iterator[str]:
    for name in (protocol, f"{protocol}6"):
        for fields in _entries(name):
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _entries(name: str) -> Iterator[list[str]]:
    """Yield the fields of a table of sockets; the second is the local address, the tenth the inode."""
    with suppress(OSError):
        for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
            yield line.split()


def _link(inode: str) -> str:
    """Return what a descriptor of the socket is a link to."""
    return f"socket:[{inode}]"
