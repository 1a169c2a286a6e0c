"""A real relay in its own process, told by its admin port; and an emulator beside it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relay.clock import SystemClock
from relay.listener.socket_activation import SUPERVISOR
from relay.supervisor.protocol import PLAN
from tests.support import hotpath, log_reference
from tests.support.emulator import ControlledEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS, SECRET, REGION = "test-ak", "canary-s3cret-key", "cn-north-1"
"""The secret is easy to find in any output; see canary.py."""


def make_emulator(**changes) -> ControlledEmulator:
    settings = {"access_key": ACCESS, "secret_key": SECRET, "region": REGION, "clock": SystemClock()}
    return ControlledEmulator(**{**settings, **changes})


_DICE = random.SystemRandom()  # the seed of the other one is the same in every process of the tests
PORTS = range(10_000, 30_000)
"""Below the ports that the system assigns, so that a relay's port is free again after a restart."""


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    """Return a free port of loopback that another test process is unlikely to draw."""
    while True:
        port = _DICE.choice(PORTS)
        with socket.socket(socket.AF_INET, kind) as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def environment(endpoint: str, state: Path | str, **settings: str | None) -> dict[str, str]:
    """Return the environment of a relay that sends to `endpoint`; settings are `TABLE_KEY`; None: unset."""
    base = {
        "LISTEN_UDP": "127.0.0.1:0",
        "LISTEN_HOTPATH": hotpath.chosen,
        "ADMIN_LISTEN": "127.0.0.1:0",
        "CLOUD_ENDPOINT": f"{endpoint}/v1/customMetrics",
        "CLOUD_CONNECT_TIMEOUT": "1s",
        "SPOOL_PATH": str(state),
        "TAGS": "host=test",
        "WINDOW_SECONDS": "1",
        "LOG_FORMAT": "json",
        "TELEMETRY_TO_CLOUD": "false",
        "LOG_LEVEL": "debug",
        **settings,
    }
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    keys = {"JDCLOUD_ACCESS_KEY_ID": ACCESS, "JDCLOUD_SECRET_ACCESS_KEY": SECRET, "JDCLOUD_REGION_ID": REGION}
    return {
        **inherited,
        "HOME": "/nonexistent",
        **keys,
        **{f"STATSD_RELAY_{name}": value for name, value in base.items() if value is not None},
    }


class RelayProcess:
    """`statsd-relay run`, its ports and its metrics. It can be started again, on the same state directory and log.

    Args:
        environ: of the process, see `environment`. `LISTEN_UDP` must name a port if the relay is to be restarted.
        log: file that standard output and error are appended to.
        command: what to run instead of `python -m relay run` (with a file: `command=run("-c", path)`).
    """

    def __init__(self, environ: dict[str, str], log: Path, *, command: tuple[str, ...] = ()) -> None:
        self.environ = environ
        self.log = log
        self.command = command or run()
        self._checked = 0
        """Number of events of the log that are as the reference says."""
        self.start()

    def start(self) -> None:
        """Start the process, which must not run; return when it listens."""
        self._began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, env=self.environ, stdout=output, stderr=output, cwd="/")
        try:
            self.udp, self.admin = self._wait_for_ports()
        except BaseException:
            self.kill()  # it may only be slow, and no test knows of it
            raise

    async def restart(self, number: int = signal.SIGTERM) -> int:
        """Stop with a signal, wait for the end, start again; return the exit code."""
        code = await self.stop(number)
        await asyncio.to_thread(self.start)
        return code

    @property
    def worker_pid(self) -> int:
        """The process that reads the sockets: the supervisor's newest worker, or without one the process itself."""
        workers = [child for child in self.children() if _state(child) not in ("Z", "X", "") and _is_worker(child)]
        return workers[-1] if workers else self.process.pid

    def children(self) -> list[int]:
        pid = self.process.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def signal_worker(self, number: int) -> int:
        """Signal the worker alone; return its pid."""
        pid = self.worker_pid
        os.kill(pid, number)
        return pid

    async def gone(self, pid: int, *, within: float = 30) -> None:
        """Wait for the end of the process or of one of its workers."""
        deadline = time.monotonic() + within
        while self.process.poll() is None if pid == self.process.pid else _state(pid) not in ("Z", "X", ""):
            assert time.monotonic() < deadline, f"process {pid} lives on:\n{self.text()}"
            await asyncio.sleep(0.01)

    async def revived(self) -> float:
        """Wait until a worker that ended is replaced, or start the process again if that ended; return the gap.

        The gap is the number of seconds in which no socket was open: 0 with a supervisor, which holds the sockets.
        """
        began = time.monotonic()
        while self.process.poll() is None and time.monotonic() < began + 10:
            if await asyncio.to_thread(self.scrape):
                return 0.0
            await asyncio.sleep(0.02)
        assert self.process.poll() is not None, f"no worker answers:\n{self.text()[-3000:]}"
        await asyncio.to_thread(self.start)
        return time.monotonic() - began

    def _wait_for_ports(self) -> tuple[tuple[str, int], str]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            text = self.log.read_bytes()[self._began :].decode()
            udp = re.findall(r'"udp://([^"]+):(\d+)"', text)
            admin = re.findall(r'"admin": "([^"]+)"', text)
            if udp and admin:
                return (udp[-1][0], int(udp[-1][1])), admin[-1]
            time.sleep(0.02)
        raise AssertionError(f"the relay did not start:\n{self.text()}")

    def text(self) -> str:
        return self.log.read_text()

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, self.udp)

    def metrics(self, *, within: float = 30) -> dict[str, float]:
        """Scrape; without an answer (a worker is being replaced), try again for `within` seconds."""
        deadline = time.monotonic() + within
        while not (metrics := self.scrape()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer on {self.admin}:\n{self.text()}")
            time.sleep(0.05)
        return metrics

    def scrape(self) -> dict[str, float]:
        """Scrape once; empty without an answer."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def kernel_drops(self) -> int:
        """Datagrams that the kernel dropped at the relay's sockets, as the relay counts them."""
        metrics = self.metrics()
        return int(sum(value for key, value in metrics.items() if key.startswith("relay_kernel_drops_total")))

    def events(self, name: str = "") -> list[dict]:
        """Return the events of the log, those with a given name, oldest first."""
        lines = [line for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        events = [json.loads(line) for line in lines]
        assert not (wrong := [one for event in events[self._checked :] for one in log_reference.problems(event)]), wrong
        self._checked = max(self._checked, len(events))
        return [event for event in events if not name or event["event"] == name]

    async def degraded(self, wanted: bool) -> float:  # noqa: FBT001 - reads as a sentence
        """Wait until durability has the wanted state, for 20 s (promised: 5); return the seconds it took."""
        began = time.monotonic()
        while (await asyncio.to_thread(self.metrics))["relay_durability_degraded"] != wanted:
            assert time.monotonic() - began < 20, self.text()[-3000:]
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def told(self, start: str, *, within: float = 30) -> list[dict]:
        """Wait for events with this code, or with a name that begins so; they are logged a moment after their cause."""

        def is_meant(event: dict) -> bool:
            return start in (event.get("code"), event["event"][: len(start)])

        until = time.monotonic() + within
        while not (found := list(filter(is_meant, self.events()))):
            assert time.monotonic() < until, self.text()[-3000:]
            await asyncio.sleep(0.05)
        return found

    def listening(self, form: str) -> list[tuple[str, int]]:
        """Return host and port of the sockets of a form (udp, tcp)."""
        labels = [event["listener"] for event in self.events("listening")]
        places = [label.removeprefix(f"{form}://") for label in labels if label.startswith(f"{form}://")]
        return [(place.rpartition(":")[0], int(place.rpartition(":")[2])) for place in places]

    def windows(self) -> list[int]:
        """Ids of the windows that were closed, in that order, over all starts."""
        return [unix(event["window"]) for event in self.events("window closed")]

    async def wait_for(self, **wanted: float) -> dict[str, float]:
        """Wait until metrics reach these values."""
        for _ in range(1000):
            metrics = await asyncio.to_thread(self.metrics)
            assert_books(metrics)
            if all(metrics.get(name, 0.0) >= value for name, value in wanted.items()):
                return metrics
            await asyncio.sleep(0.02)
        raise AssertionError(f"{wanted} not reached:\n{self.text()}")

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the process; wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 30)

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # it starts nothing between the two lines that follow
            children = self.children()
            self.process.kill()
            self.process.wait()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    def stopped(self) -> dict:
        """The event that accounts for the open window."""
        return self.events("stopped")[-1]


def unix(timestamp: str) -> int:
    """Return the Unix seconds of a time in the log."""
    return round(datetime.fromisoformat(timestamp).timestamp())


def run(*arguments: str | Path) -> tuple[str, ...]:
    """Return the command line of `statsd-relay run`."""
    return (sys.executable, "-m", "relay", "run", *map(str, arguments))


def _is_worker(pid: int) -> bool:
    """Say whether a child of a supervisor is a worker: no preflight check, not before its exec or after its end."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return f"{SUPERVISOR}=".encode() in environ and f"{PLAN}=".encode() not in environ


def _state(pid: int) -> str:
    """Return the letter of a process's state; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def relay_process(environ: dict[str, str], log: Path, *, command: tuple[str, ...] = ()) -> Iterator[RelayProcess]:
    relay = RelayProcess(environ, log, command=command)
    try:
        yield relay
    finally:
        relay.kill()


def assert_books(metrics: dict[str, float]) -> None:
    """The three equations of the ledger, computed from one scrape."""

    def total(name: str) -> float:
        return sum(value for key, value in metrics.items() if key == name or key.startswith(f"{name}{{"))

    def points(outcome: str) -> float:
        return metrics[f'relay_points_total{{outcome="{outcome}"}}']

    assert metrics["relay_received_lines_total"] == (
        metrics["relay_accepted_lines_total"] + metrics["relay_events_total"] + total("relay_rejected_lines_total")
    )
    assert metrics['relay_samples_total{state="accepted"}'] == (
        metrics['relay_samples_total{state="closed"}']
        + metrics['relay_samples{state="open"}']
        + total("relay_dropped_samples_total")
    )
    assert points("created") + points("recovered") + points("replayed") == (
        points("delivered")
        + points("refused")
        + points("dropped")
        + metrics['relay_points{state="spooled"}']
        + metrics['relay_points{state="in_flight"}']
    )
    assert metrics["relay_ledger_imbalance"] == 0
