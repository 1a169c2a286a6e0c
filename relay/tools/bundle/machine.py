"""What the system says of a relay: versions, limits of the kernel and of the control group, its own UDP sockets.

A file that is missing or cannot be read is left out, so this works for any user and on any kernel.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay import __version__
from relay.hotpath.factory import choose_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_KERNEL: Final = ("rmem_max", "rmem_default", "netdev_max_backlog", "somaxconn")
_LIMITS: Final = ("memory.max", "memory.high", "memory.current", "memory.events", "cpu.max", "cpu.stat", "pids.max")
_OF_A_PROCESS: Final = ("limits", "status", "cgroup")
_BYTES_MOST: Final = 65_536


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python, of the kernel and of the libraries."""
    found = {
        "statsd-relay": __version__,
        "hot path": choose_name("auto"),
        "Python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
    }
    for requirement in requires("statsd-relay") or ():
        name = requirement.replace(">", " ").replace("=", " ").replace("[", " ").replace(";", " ").split()[0]
        if "extra" not in requirement:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "missing"
    return found


def system_files(pids: Sequence[int], ports: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file about the machine and the processes of a relay.

    Args:
        pids: of the relay; none if no relay runs.
        ports: its UDP ports, which tell its sockets where the processes cannot be read.
    """
    for name in _KERNEL:
        yield from _file(f"kernel/{name}", _PROC / "sys/net/core" / name)
    yield from _file("kernel/snmp", _PROC / "self/net/snmp")
    for pid in pids:
        for name in _OF_A_PROCESS:
            yield from _file(f"process-{pid}/{name}", _PROC / str(pid) / name)
        for name in _LIMITS:
            yield from _file(f"process-{pid}/{name}", _CGROUPS / _cgroup(pid) / name)
    inodes, known = set(_inodes(pids)), set(ports)
    for name in ("udp", "udp6"):
        head, *rows = _read(_PROC / "self/net" / name).splitlines() or [""]
        yield f"kernel/net_{name}", "\n".join([head, *(row for row in rows if _is_own(row.split(), inodes, known))])


def _is_own(fields: Sequence[str], inodes: set[str], ports: set[int]) -> bool:
    """Say whether a row of /proc/net/udp is one of the relay's sockets."""
    return fields[9] in inodes or int(fields[1].rpartition(":")[2], 16) in ports


def _inodes(pids: Sequence[int]) -> Iterator[str]:
    """Yield the inodes of the sockets that processes have open."""
    for pid in pids:
        try:
            descriptors = list((_PROC / str(pid) / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = str(descriptor.readlink())
            except OSError:  # closed since
                continue
            if target.startswith("socket:["):
                yield target[8:-1]


def _cgroup(pid: int) -> str:
    """Return the path of a process's control group (version 2), relative to the root; "" if it has none."""
    rows = _read(_PROC / str(pid) / "cgroup").splitlines()
    return next((row[3:].lstrip("/") for row in rows if row.startswith("0::")), "")


def _file(name: str, path: Path) -> Iterator[tuple[str, str]]:
    text = _read(path)
    if text:
        yield name, text


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_BYTES_MOST).decode("utf-8", "replace")
    except OSError:
        return ""
