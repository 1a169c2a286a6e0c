"""How fast the hot path is: in this process, and as a daemon beside npm statsd, CPU per line, in one run.

    python -m benchmarks.bench_hotpath [--no-daemons]

First part: `feed` alone, best of five. Second part: both daemons as real processes are sent the same datagrams over
loopback as fast as they go, in turns, for two seconds each; their CPU time from /proc is divided by the lines that the
kernel did not drop. Medians of five turns.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.traffic import LINES, SHAPES, datagrams
from relay.hotpath.aggregator import PythonHotPath
from relay.model import Identity, Kind, Resolution, Series
from tests.support.node import has_node, install
from tests.support.relay import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 5
NOW = 1_764_000_000.0
SECONDS = 2.0
SETTLE = 0.3
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
        with relay() as ours, statsd() as theirs:
            compare(shape, ours, theirs)


def compare(shape: str, ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    """Measure both daemons in turns; the first turn warms them up."""
    sent = datagrams(shape)
    turns = [(measure(*ours, sent), measure(*theirs, sent)) for _ in range(ROUNDS + 1)][1:]
    one, other = (statistics.median(turn) for turn in zip(*turns, strict=True))
    ratio = statistics.median(one / other for one, other in turns)
    print(f"{shape:<20}{one * 1e6:>7.2f} us{other * 1e6:>9.2f} us{ratio:>8.2f}", flush=True)


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


@contextmanager
def relay() -> Iterator[tuple[int, int]]:
    """Run `statsd-relay run`; yield process id and port."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        env = environment("http://127.0.0.1:1", directory, LISTEN_UDP=f"127.0.0.1:{port}", WINDOW_SECONDS="3600")
        with daemon([sys.executable, "-m", "relay", "run"], port, {**env, "STATSD_RELAY_ADMIN_LISTEN": ""}) as pid:
            yield pid, port


@contextmanager
def statsd() -> Iterator[tuple[int, int]]:
    """Run statsd/statsd without a back end; yield process id and port."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        config = Path(directory) / "config.js"
        config.write_text(f"{{ port: {port}, mgmt_port: {free_port()}, backends: [], flushInterval: 10000 }}")
        with daemon(["node", "--no-deprecation", str(install() / "statsd/stats.js"), str(config)], port) as pid:
            yield pid, port


@contextmanager
def daemon(command: list[str], port: int, env: dict[str, str] | None = None) -> Iterator[int]:
    """Start a daemon, wait for its port; yield its process id."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env, cwd=Path(__file__).parents[1]) as process:
        try:
            while udp_row(port) is None:
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def measure(pid: int, port: int, sent: Sequence[bytes]) -> float:
    """Saturate a daemon; return its CPU seconds per line that it got."""
    before, dropped = cpu_seconds(pid), drops(port)
    datagrams_sent = saturate(sent, port)
    time.sleep(SETTLE)
    arrived = datagrams_sent - (drops(port) - dropped)
    return (cpu_seconds(pid) - before) / (arrived * LINES / len(sent))


def saturate(sent: Sequence[bytes], port: int) -> int:
    """Send datagrams, over and over, for `SECONDS`; return how many."""
    ends, count = time.monotonic() + SECONDS, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        while True:
            for datagram in sent:
                sock.send(datagram)
                count += 1
                if count % 64 == 0 and time.monotonic() > ends:
                    return count


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def drops(port: int) -> int:
    """Return how many datagrams the kernel dropped at a port."""
    row = udp_row(port)
    return int(row[-1]) if row else 0


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
