"""How fast the hot path is: in this process, and as a daemon beside npm statsd, CPU per line, in one run.

    python -m benchmarks.bench_hotpath [--no-daemons]

First part: `feed` alone, best of five. Second part: both daemons as real processes receive the same datagrams over
loopback at a bounded rate, and their CPU time is read from /proc; a run in which the kernel dropped a packet says so.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.traffic import LINES, SHAPES, datagrams
from relay.hotpath.aggregator import PythonHotPath
from relay.model import Identity, Kind, Resolution, Series
from tests.support.node import has_node, install
from tests.support.relay import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 5
NOW = 1_764_000_000.0
LINES_PER_SECOND = 40_000
HERTZ = 100


def main() -> None:
    """Print both tables."""
    print(f"{'hot path (python)':<20}{'lines/s/core':>14}{'ns/line':>10}")
    for shape in SHAPES:
        seconds = bench_feed(datagrams(shape))
        print(f"{shape:<20}{LINES / seconds:>14,.0f}{seconds / LINES * 1e9:>10.0f}", flush=True)
    if "--no-daemons" in sys.argv or not has_node():
        return
    print(f"\n{'CPU per line':<20}{'relay':>10}{'npm statsd':>12}{'ratio':>8}")
    for shape in SHAPES:
        sent = datagrams(shape)
        ours, theirs = measure_relay(sent), measure_statsd(sent)
        print(f"{shape:<20}{ours * 1e6:>7.2f} us{theirs * 1e6:>9.2f} us{ours / theirs:>8.2f}", flush=True)


def bench_feed(sent: Sequence[bytes]) -> float:
    """Return seconds for all lines, best of five, in one window whose series are known."""
    hotpath = PythonHotPath(
        series_limit=50_000,
        series_per_metric=10_000,
        memory=512 << 20,
        window_seconds=60,
        max_age=86_400,
        idle_gauge_ttl=3600,
        catch_all=lambda kind: Series(f"overflow.{kind}", (), kind),
    )
    hotpath.open_window(int(NOW))
    best = float("inf")
    for number in range(ROUNDS + 2):
        began = time.perf_counter()
        for datagram in sent:
            hotpath.feed(datagram, NOW)
        if number > 1:
            best = min(best, time.perf_counter() - began)
        while waiting := hotpath.unresolved(1000):
            hotpath.resolve([(identity, resolve(identity)) for identity in waiting])
    if hotpath.tally().accepted != LINES * (ROUNDS + 2):
        raise RuntimeError(f"lines were lost: {hotpath.tally()}")
    return best


def resolve(identity: Identity) -> Resolution:
    """Name an identity after itself."""
    series = Series(identity.name.decode(), (("tags", identity.tags.decode()),), Kind(identity.kind))
    return Resolution(series, series)


def measure_relay(sent: Sequence[bytes]) -> float:
    """Return the CPU seconds per line of `statsd-relay run`."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        env = environment("http://127.0.0.1:1", directory, LISTEN_UDP=f"127.0.0.1:{port}", WINDOW_SECONDS="3600")
        command = [sys.executable, "-m", "relay", "run"]
        return measure(command, port, sent, env={**env, "STATSD_RELAY_ADMIN_LISTEN": ""})


def measure_statsd(sent: Sequence[bytes]) -> float:
    """Return the CPU seconds per line of statsd/statsd without a back end."""
    modules = install()
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        config = Path(directory) / "config.js"
        config.write_text(f"{{ port: {port}, mgmt_port: {free_port()}, backends: [], flushInterval: 60000 }}")
        return measure(["node", "--no-deprecation", str(modules / "statsd/stats.js"), str(config)], port, sent)


def measure(command: list[str], port: int, sent: Sequence[bytes], env: dict[str, str] | None = None) -> float:
    """Start a daemon, warm it up, send everything at a bounded rate; return its CPU seconds per line."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env, cwd=Path(__file__).parents[1]) as process:
        try:
            while udp_row(port) is None:
                time.sleep(0.05)
            send(sent[: len(sent) // 4], port)
            time.sleep(0.5)
            before = cpu_seconds(process.pid)
            send(sent, port)
            time.sleep(0.5)
            used = cpu_seconds(process.pid) - before
            row = udp_row(port)
            if row is None or int(row[-1]):
                print(f"  {command[0]}: the kernel dropped packets, this figure is too low")
            return used / LINES
        finally:
            process.terminate()


def send(sent: Sequence[bytes], port: int) -> None:
    """Send datagrams at `LINES_PER_SECOND`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        lines, began = 0, time.monotonic()
        for datagram in sent:
            sock.sendto(datagram, ("127.0.0.1", port))
            lines += datagram.count(b"\n") + 1
            ahead = lines / LINES_PER_SECOND - (time.monotonic() - began)
            if ahead > 0.002:
                time.sleep(ahead)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def udp_row(port: int) -> list[str] | None:
    """Return the kernel's line about a UDP port; the last field counts drops."""
    for name in ("udp", "udp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            if int(line.split()[1].rpartition(":")[2], 16) == port:
                return line.split()
    return None


def free_port() -> int:
    """Return a UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    main()
