"""Finds the process that holds a port or a Unix socket, in /proc.

Used by the error message of an address in use, and to take over the socket of another daemon. Processes of other users
are invisible without the right to read their descriptors; they are left out.
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
    """Number of the socket's descriptor in that process."""

    def __str__(self) -> str:
        """Return the form of messages: `node (pid 812)`."""
        return f"{self.name} (pid {self.pid})"


def find_owner(port: int, protocol: str = "udp") -> SocketOwner | None:
    """Return the process that holds the port, of several the parent; None if this user may see none."""
    owners = list(find_owners(port, protocol))
    pids = {owner.pid for owner in owners}
    return next((owner for owner in owners if _parent(owner.pid) not in pids), None)


def _parent(pid: int) -> int:
    """Return the pid of the parent of a process; 0 if the process has ended."""
    with suppress(OSError):
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def find_owners(port: int, protocol: str = "udp") -> Iterator[SocketOwner]:
    """Yield the processes that hold a socket of this port, as far as this user may see them."""
    return _find({_link(inode) for inode in _inodes(port, protocol)})


def find_sharing(inode: int) -> set[str]:
    """Return the links of all UDP sockets with exactly the address of the given socket; the given one is included."""
    for name in ("udp", "udp6"):
        entries = list(_entries(name))
        local = [entry[1] for entry in entries if entry[9] == str(inode)]
        if local:
            return {_link(entry[9]) for entry in entries if entry[1] == local[0]}
    return set()


def held_by(pid: int) -> set[str]:
    """Return the targets of the links in /proc/PID/fd: the files and sockets that a process holds.

    Raises:
        OSError: the process has ended, or its descriptors may not be read.
    """
    found = set()
    for link in (_PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing itself is closed
            found.add(str(link.readlink()))
    return found


def is_relay(owner: SocketOwner) -> bool:
    """Return whether a process is a relay, by its command line."""
    with suppress(OSError):
        command = (_PROC / str(owner.pid) / "cmdline").read_bytes()
        return b"/statsd-relay\0" in b"/" + command or b"\0-m\0relay\0" in command
    return False


def find_unix_owner(path: str) -> str:
    """Return ` by NAME (pid N)` for the process that holds the Unix socket at `path`; "" if it is not visible."""
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
    """Yield the descriptors by which a process holds one of the sockets; the process may end meanwhile."""
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
    """Yield the rows of /proc/net/NAME as fields; field 1 is the local address, field 9 the inode."""
    with suppress(OSError):
        for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
            yield line.split()


def _link(inode: str) -> str:
    """Return the target of the link in /proc/PID/fd for a socket with this inode."""
    return f"socket:[{inode}]"
