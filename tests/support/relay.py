"""A real relay in its own process, told by its admin port; and an emulator beside it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relay.clock import SystemClock
from relay.jdcloud.emulator import Emulator
from tests.support import hotpath

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS, SECRET, REGION = "test-ak", "test-sk", "cn-north-1"


def make_emulator() -> Emulator:
    return Emulator(access_key=ACCESS, secret_key=SECRET, region=REGION, clock=SystemClock())


def environment(endpoint: str, state: Path | str, **settings: str) -> dict[str, str]:
    """Of a relay that sends to `endpoint`; settings are `TABLE_KEY`."""
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
        **settings,
    }
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    keys = {"JDCLOUD_ACCESS_KEY_ID": ACCESS, "JDCLOUD_SECRET_ACCESS_KEY": SECRET, "JDCLOUD_REGION_ID": REGION}
    return {
        **inherited,
        "HOME": "/nonexistent",
        **keys,
        **{f"STATSD_RELAY_{name}": value for name, value in base.items()},
    }


class RelayProcess:
    """`statsd-relay run`, its ports and its metrics."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay", "run"], env=environ, stdout=output, stderr=output, cwd="/"
            )
        self.udp, self.admin = self._wait_for_ports()

    def _wait_for_ports(self) -> tuple[tuple[str, int], str]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            udp = re.findall(r'"udp": "([^"]+):(\d+)"', self.text())
            admin = re.findall(r'"admin": "([^"]+)"', self.text())
            if udp and admin:
                return (udp[-1][0], int(udp[-1][1])), admin[-1]
            time.sleep(0.02)
        raise AssertionError(f"the relay did not start:\n{self.text()}")

    @property
    def worker_pid(self) -> int:
        """Of the process that does the work; `process` is its supervisor."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def text(self) -> str:
        return self.log.read_text()

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, self.udp)

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

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

    def stopped(self) -> dict:
        """The event that accounts for the open window."""
        events = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return next(event for event in reversed(events) if event["event"] == "stopped")


@contextmanager
def relay_process(environ: dict[str, str], log: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess(environ, log)
    try:
        yield relay
    finally:
        if relay.process.poll() is None:
            relay.process.kill()
            relay.process.wait()


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
