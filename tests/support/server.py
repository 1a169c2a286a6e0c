"""A server measured from outside as a process, and the load sent to it: server on core 0, load on the last."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    port: int
    lines: Callable[[], int] | None = None
    """Returns the lines that it accepted, if it counts them."""
    queue: int = 64 * 1024
    """Most bytes in its receive queue in a closed loop: a third of its receive buffer."""
    metrics: Callable[[], str] = str
    """Returns the relay's metrics."""

    def cpu(self) -> float:
        """Return seconds of CPU of all its threads and child processes, to the nanosecond."""
        return sum(float(path.read_text().split()[0]) for path in tasks(self.pid)) / 1e9

    def rss(self) -> float:
        """Return proportional set size of the process tree in MB."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in tree(self.pid))
        return sum(int(text.partition("\nPss:")[2].split()[0]) for text in rollups) / 1024

    def drops(self) -> int:
        """Return datagrams the kernel dropped at its socket."""
        row = udp_row(self.port)
        return int(row[-1]) if row else 0


def tree(pid: int) -> list[int]:
    """Return a process and its children, all generations."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def tasks(pid: int) -> Iterator[Path]:
    """Yield the files with the CPU time of each thread."""
    for one in tree(pid):
        yield from Path(f"/proc/{one}/task").glob("*/schedstat")


def udp_row(port: int) -> list[str] | None:
    """Return the kernel's line about a UDP port; the last field counts drops."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        if int(line.split()[1].rpartition(":")[2], 16) == port:
            return line.split()
    return None


def compiled(source: Path) -> Path:
    """Compile a C program if its source is newer; return the program."""
    output = Path(tempfile.gettempdir()) / f"statsd-relay-{source.stem}-{os.getuid()}"
    if not output.exists() or output.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", output, source], check=True)
    return output


def send(server: Server, traffic: Path, seconds: float, rate: float = 0, batch: int = 64) -> tuple[int, float]:
    """Send traffic from the other core; return datagrams and seconds."""
    command = [compiled(Path(__file__).with_name("load.c")), server.port, traffic, seconds, rate, batch, server.queue]
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *map(str, command)], capture_output=True, text=True, check=True
    )
    sent, took = done.stdout.split()
    return int(sent), float(took)
