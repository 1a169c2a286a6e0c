"""The servers that are compared: each a real process on loopback, installed by its ordinary package manager.

A server that is not installed is left out with a message.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.node import has_node, install
from tests.support.relay import environment, free_port, run
from tests.support.server import SERVER_CORE, Server, compiled, udp_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HERE = Path(__file__).parent
QUIET = subprocess.DEVNULL


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


@contextmanager
def relay(hotpath: str, *, environ: Mapping[str, str] | None = None, **settings: str) -> Iterator[Server]:
    """Run `statsd-relay run` without a cloud and with a window longer than the benchmark.

    Args:
        hotpath: native or python.
        environ: variables of the process besides its settings.
        settings: TABLE_KEY = value.
    """
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

        with process([*run()], port, {**env, **(environ or {})}) as pid:
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
    """Run Debian's netdata with its StatsD collector only."""
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
    """Run Debian's collectd with its StatsD plugin only."""
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
    """Run PyPI's statsdly without a carbon server."""
    port = free_port()
    command = [sys.executable, "-m", "statsdly", "-l", f"127.0.0.1:{port}", "-f", "3600", "-g", "127.0.0.1:1"]
    with process(command, port) as pid:
        yield Server("statsdly", pid, port)


@contextmanager
def floor() -> Iterator[Server]:
    """Run a bare loop of recvmmsg."""
    port = free_port()
    with process([compiled(HERE / "floor.c"), port], port) as pid:
        yield Server("bare recvmmsg", pid, port)


def available(*, python: bool = True) -> dict[str, Callable[[], object]]:
    """Return the servers that can run here; print the name of each other one."""
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
