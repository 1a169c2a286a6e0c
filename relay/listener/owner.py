"""Who holds a port or a Unix socket: for the one error message that everybody meets when replacing a daemon."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC: Final = Path("/proc")


def find_owner(port: int, protocol: str = "udp") -> str:
    """Return ` by NAME (pid N)`, as far as this user may see it; "" otherwise."""
    return _find({f"socket:[{inode}]" for inode in _inodes(port, protocol)})


def find_unix_owner(path: Path) -> str:
    """Return the same for who made the Unix socket at `path`."""
    with suppress(OSError):
        entries = [line.split(maxsplit=7) for line in (_PROC / "net" / "unix").read_text().splitlines()[1:]]
        return _find({f"socket:[{entry[6]}]" for entry in entries if entry[7:] == [str(path)]})
    return ""


def _find(sockets: set[str]) -> str:
    with suppress(OSError):
        for process in _PROC.iterdir():
            if process.name.isdigit() and _holds(process, sockets):
                return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _inodes(port: int, protocol: str) -> Iterator[str]:
    for name in (protocol, f"{protocol}6"):
        with suppress(OSError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _holds(process: Path, sockets: set[str]) -> bool:
    with suppress(OSError):
        return any(str(link.readlink()) in sockets for link in (process / "fd").iterdir())
    return False
