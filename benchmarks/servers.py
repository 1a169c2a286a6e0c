"""The servers that are compared: each a real process on loopback, installed by its ordinary package manager.

A server that is not installed is left out with a message. Each runs on core 0, the load on core 1.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.node import has_node, install
from tests.support.relay import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1
QUIET = subprocess.DEVNULL


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    port: int
    lines: Callable[[], int] | None = None
    """Lines it says it accepted, if it says so."""
    queue: int = 64 * 1024
    """Bytes that may wait in its receive queue in a closed loop: a third of what it asked for or has."""
    metrics: Callable[[], str] = str
    """Its own metrics, of the relay."""

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
    """Yield the files that tell the CPU time of each thread."""
    for one in tree(pid):
        yield from Path(f"/proc/{one}/task").glob("*/schedstat")


def udp_row(port: int) -> list[str] | None:
    """Return the kernel's line about a UDP port; the last field counts drops."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        if int(line.split()[1].rpartition(":")[2], 16) == port:
            return line.split()
    return None


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    """Return a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(command: list[object], port: int, env: dict[str, str] | None = None) -> Iterator[int]:
    """Run a server on its core until its port is bound; yield the process id."""
    whole = ["taskset", "-c", str(SERVER_CORE), *map(str, command)]
    with subprocess.Popen(whole, stdout=QUIET, stderr=QUIET, env=env, cwd=HERE.parent) as running:
        try:
            ends = time.monotonic() + 30
            while udp_row(port) is None:
                if running.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(f"did not start: {' '.join(whole)}")
                time.sleep(0.02)
            time.sleep(0.5)
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


def compiled(program: str) -> Path:
    """Return a C program of this folder, compiled."""
    output = Path(tempfile.gettempdir()) / f"statsd-relay-{program}-{os.getuid()}"
    source = HERE / f"{program}.c"
    if not output.exists() or output.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", output, source], check=True)
    return output


RUN = (sys.executable, "-m", "relay", "run")


@contextmanager
def relay(hotpath: str, command: Sequence[str] = RUN, **settings: str) -> Iterator[Server]:
    """Run `statsd-relay run`; its cloud is not there, its window outlives the benchmark."""
    port, admin = free_port(), free_port(socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory() as state:
        env = environment(
            "http://127.0.0.1:1",
            state,
            LISTEN_UDP=f"127.0.0.1:{port}",
            LISTEN_HOTPATH=hotpath,
            ADMIN_LISTEN=f"127.0.0.1:{admin}",
            **{"WINDOW_SECONDS": "3600", "LIMITS_SERIES_PER_METRIC": "10000000", **settings},
        )

        def metrics() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=30) as answer:
                return answer.read().decode()

        def lines() -> int:
            return int(float(metrics().partition("\nrelay_accepted_lines_total ")[2].split()[0]))

        with process(list(command), port, env) as pid:
            yield Server(f"relay, {hotpath}", pid, port, lines, 2 * 1024 * 1024, metrics)


@contextmanager
def statsd() -> Iterator[Server]:
    """Run statsd/statsd of npm without a back end."""
    port, admin = free_port(), free_port(socket.SOCK_STREAM)

    def lines() -> int:
        with socket.create_connection(("127.0.0.1", admin), 10) as sock, sock.makefile("rw") as stream:
            stream.write("counters\n")
            stream.flush()
            for row in iter(stream.readline, "END\n"):
                if "metrics_received" in row:
                    return int(row.split(":")[1].strip(" ,}\n"))
        return 0

    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config.js"
        config.write_text(f"{{ port: {port}, mgmt_port: {admin}, backends: [], flushInterval: 3600000 }}")
        with process(["node", "--no-deprecation", install() / "statsd/stats.js", config], port) as pid:
            yield Server("npm statsd", pid, port, lines)


@contextmanager
def netdata() -> Iterator[Server]:
    """Run Debian's netdata with nothing but its StatsD collector."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        for name in ("cache", "lib", "log", "etc"):
            (base / name).mkdir()
        off = "\n".join(
            f"{plugin} = no"
            for plugin in (
                "proc",
                "diskspace",
                "cgroups",
                "tc",
                "idlejitter",
                "checks",
                "apps",
                "timex",
                "enable running new plugins",
            )
        )
        (base / "netdata.conf").write_text(
            f"[global]\nrun as user = root\n[directories]\n"
            f"cache = {base}/cache\nlib = {base}/lib\nlog = {base}/log\nconfig = {base}/etc\n"
            f"[db]\nmode = none\n[web]\nmode = none\n[plugins]\n{off}\nstatsd = yes\n"
            f"[health]\nenabled = no\n[ml]\nenabled = no\n"
            f"[statsd]\nenabled = yes\nbind to = udp:127.0.0.1:{port}\nudp messages to process at once = 100\n"
        )
        with process(["/usr/sbin/netdata", "-D", "-c", base / "netdata.conf", "-P", base / "pid"], port) as pid:
            yield Server("netdata", pid, port)


@contextmanager
def collectd() -> Iterator[Server]:
    """Run Debian's collectd with nothing but its StatsD plugin."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "collectd.conf"
        config.write_text(
            f'BaseDir "{directory}"\nPIDFile "{directory}/pid"\nTypesDB "/usr/share/collectd/types.db"\nInterval 3600\n'
            f'LoadPlugin statsd\n<Plugin statsd>\n  Host "127.0.0.1"\n  Port "{port}"\n'
            f"  TimerPercentile 95.0\n</Plugin>\n"
        )
        with process(["/usr/sbin/collectd", "-f", "-C", config], port) as pid:
            yield Server("collectd", pid, port)


@contextmanager
def statsdly() -> Iterator[Server]:
    """Run PyPI's statsdly; its carbon is not there."""
    port = free_port()
    command = [sys.executable, "-m", "statsdly", "-l", f"127.0.0.1:{port}", "-f", "3600", "-g", "127.0.0.1:1"]
    with process(command, port) as pid:
        yield Server("statsdly", pid, port)


@contextmanager
def floor() -> Iterator[Server]:
    """Run a bare loop of recvmmsg."""
    port = free_port()
    with process([compiled("floor"), port], port) as pid:
        yield Server("bare recvmmsg", pid, port)


def available(*, python: bool = True) -> dict[str, Callable[[], object]]:
    """Return what can run here, and say what cannot."""
    everything: dict[str, tuple[Callable[[], object], bool, str]] = {
        "relay, native": (lambda: relay("native"), True, ""),
        "relay, python": (lambda: relay("python"), python, "not asked for"),
        "bare recvmmsg": (floor, True, ""),
        "npm statsd": (statsd, has_node(), "npm is missing"),
        "netdata": (netdata, Path("/usr/sbin/netdata").exists(), "apt-get install netdata-core"),
        "collectd": (collectd, Path("/usr/sbin/collectd").exists(), "apt-get install collectd-core"),
        "statsdly": (statsdly, _has_module("statsdly"), "pip install statsdly"),
    }
    for name, (_, present, why) in everything.items():
        if not present:
            print(f"LEFT OUT {name}: {why}", file=sys.stderr)
    return {name: make for name, (make, present, _) in everything.items() if present}


def _has_module(name: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {name}"], stderr=QUIET, check=False).returncode == 0


def send(server: Server, traffic: Path, seconds: float, rate: float = 0, batch: int = 64) -> tuple[int, float]:
    """Send traffic from the other core; return datagrams and seconds."""
    command = [compiled("load"), server.port, traffic, seconds, rate, batch, server.queue]
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *map(str, command)], capture_output=True, text=True, check=True
    )
    sent, took = done.stdout.split()
    return int(sent), float(took)
