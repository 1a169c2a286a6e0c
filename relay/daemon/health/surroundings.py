"""Facts that files have: packets for closed ports, the memory limit, files that were set aside. Read in a thread."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.delivery.disk_thread import DiskThread

if TYPE_CHECKING:
    from relay.clock import Clock

_INTERVAL: Final = 2.0
_SNMP: Final = Path("/proc/self/net/snmp")
_SNMP6: Final = Path("/proc/self/net/snmp6")
_CGROUP: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_SET_ASIDE: Final = re.compile(r"checkpoint-.+\.damaged-[^.]+|spool\.db\.[a-z].*(?<!-wal)(?<!-shm)")
"""Names of files that delivery/state and delivery/spool set aside."""
_SET_ASIDE_MOST: Final = 5
_UNLIMITED: Final = 1 << 60
"""cgroup v1 says this much, or more, for no limit."""


class Surroundings:
    """State: what was read last, and the count of packets for closed ports at the start."""

    def __init__(self, directory: Path | None, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._thread = DiskThread("surroundings")
        self._at_start = count_closed_ports()
        self.closed_ports = 0
        """Datagrams since the start that came for ports of this network namespace which no process has open."""
        self.memory_limit = read_memory_limit()
        """Bytes that the control group of this process allows; 0: no limit is known."""
        self.set_aside: list[str] = []
        """Files of the state directory that were damaged, or of a newer release; five at most."""

    async def run(self) -> None:
        """Read every two seconds until cancelled; a directory on a disk that hangs delays the next read."""
        try:
            while True:
                self.closed_ports, self.set_aside = await self._thread.run(self._read)
                await self._clock.sleep(_INTERVAL)
        finally:
            self._thread.close()

    def _read(self) -> tuple[int, list[str]]:
        return max(0, count_closed_ports() - self._at_start), self._find_set_aside()

    def _find_set_aside(self) -> list[str]:
        if self._directory is None:
            return []
        with suppress(OSError), os.scandir(self._directory) as entries:
            found = sorted(one.path for one in entries if _SET_ASIDE.fullmatch(one.name))
            return found[:_SET_ASIDE_MOST]
        return []


def count_closed_ports() -> int:
    """Return the datagrams for closed ports, IPv4 and IPv6, since this network namespace exists; 0 if unknown."""
    found = 0
    with suppress(OSError, ValueError, StopIteration):
        lines = (line.split() for line in _SNMP.read_text().splitlines() if line.startswith("Udp:"))
        found += int(dict(zip(next(lines), next(lines), strict=True))["NoPorts"])
    with suppress(OSError, ValueError, KeyError):
        counters = dict(line.split() for line in _SNMP6.read_text().splitlines())
        found += int(counters["Udp6NoPorts"])
    return found


def read_memory_limit() -> int:
    """Return the bytes that the control group of this process allows; 0 if there is no limit, or none is known."""
    with suppress(OSError):
        for line in _CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for file in (
                _CGROUPS / path.lstrip("/") / "memory.max",
                _CGROUPS / "memory.max",
                _CGROUPS / "memory" / path.lstrip("/") / "memory.limit_in_bytes",
            ):
                if controllers not in ("", "memory"):
                    continue
                with suppress(OSError, ValueError):
                    limit = int(file.read_text())
                    return limit if limit < _UNLIMITED else 0
    return 0
