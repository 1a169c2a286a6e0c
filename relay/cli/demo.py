"""`statsd-relay demo`: runs a local cloud, a relay and traffic on loopback, and compares the input with the output.

It needs no account, no file and no free well-known port, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop

from relay.cli.shared.options import LENGTH, json_option
from relay.cli.shared.output import say
from relay.clock import SystemClock
from relay.config.credentials import Credentials
from relay.config.schema import AdminConfig, CloudConfig, Config, ListenConfig, LogConfig, TelemetryConfig, WindowConfig
from relay.config.types import Secret
from relay.daemon.app import Relay
from relay.daemon.log import configure_log, text_logger
from relay.daemon.reports.reporter import Reporter
from relay.errors import ExitCode, unusable
from relay.tools.emulator import Emulator
from relay.wording import number, plural

if TYPE_CHECKING:
    from relay.ledger import Books

KEY, SECRET, REGION = "demo-key", "demo-secret", "cn-north-1"
DATAGRAMS_PER_SECOND = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Totals of one metric: sent and arrived."""

    lines: int
    sent: int
    """Sum of the values sent."""
    arrived: int
    """Sum of the values in the cloud."""
    points: int

    def row(self, metric: str) -> str:
        """Return the row of the table."""
        mark = "" if self.arrived == self.sent else "  <- differs"
        counts = f"{number(self.lines):>12}{number(self.sent):>14}{number(self.arrived):>14}{self.points:>9}"
        return f"{metric:<22}{counts}{mark}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of the demo."""

    metrics: dict[str, Arrived]
    bad_lines: int
    """Bad lines sent on purpose; each must be rejected."""
    books: Books
    balanced: bool

    def __str__(self) -> str:
        """Return the table of sent and arrived totals, the ledger and the verdict."""
        head = f"{'metric':<22}{'lines sent':>12}{'sum sent':>14}{'sum arrived':>14}{'points':>9}"
        rows = [arrived.row(metric) for metric, arrived in self.metrics.items()]
        verdict = "balanced: everything arrived" if self.balanced else "NOT balanced"
        rejected = number(sum(self.books.rejected.values()))
        bad = f"{plural(self.bad_lines, 'bad line')} sent on purpose, {rejected} rejected"
        return "\n".join(["", head, *rows, "", str(self.books), "", bad, verdict])


@dataclass(slots=True)
class Traffic:
    """Sends datagrams in the shapes of real clients; each line is counted before it is sent."""

    to: tuple[str, int]
    random: random.Random
    lines: Counter[str] = field(default_factory=Counter)
    """Lines sent, by metric."""
    sums: Counter[str] = field(default_factory=Counter)
    """Sum of the values sent, by metric."""
    bad: int = 0
    """Bad lines sent."""

    async def run(self, seconds: float) -> None:
        """Send about 200 datagrams a second for `seconds`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while loop.time() < ends:
                for _ in range(DATAGRAMS_PER_SECOND // 20):
                    sock.sendto(self.datagram(), self.to)
                await asyncio.sleep(0.05)

    def datagram(self) -> bytes:
        """Return a datagram of a plain, a buffered or a DogStatsD client; 2 % have a bad line."""
        pick = self.random.random()
        if pick < 0.02:
            self.bad += 1
            return b"demo.broken:abc|ms"
        if pick < 0.4:
            return self._line("demo.web.hits", 1, b"c")
        if pick < 0.7:
            return b"\n".join((self._timer(), self._line("demo.web.bytes", self.random.randrange(10_000), b"c")))
        return b"\n".join(self._tagged() for _ in range(10))

    def _line(self, metric: str, value: int, rest: bytes) -> bytes:
        self.lines[metric] += 1
        self.sums[metric] += value
        return b"%b:%d|%b" % (metric.encode(), value, rest)

    def _timer(self) -> bytes:
        return self._line("demo.web.time", self.random.randrange(1, 500), b"ms")

    def _tagged(self) -> bytes:
        outcome = self.random.choice((b"ok", b"ok", b"ok", b"error"))
        return self._line("demo.api.requests", 1, b"c|#service:api,outcome:%b|c:ci-0123" % outcome)


@click.command()
@click.option("--for", "seconds", type=LENGTH, default="30s", show_default=True, help="Duration of the traffic.")
@json_option("Print the totals sent and arrived as JSON.")
def demo(seconds: float, *, as_json: bool) -> None:
    """Run a local cloud, a relay and traffic on loopback, and compare what was sent with what arrived."""
    with _temporary_directory() as state, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(play(seconds, Path(state), quiet=as_json))
    say(json.dumps(asdict(outcome), indent=2) if as_json else str(outcome))
    raise SystemExit(ExitCode.OK if outcome.balanced else ExitCode.INTERNAL)


def _temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary state directory.

    Raises:
        RelayError: RLY101, the directory cannot be created.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="statsd-relay-demo-")
    except OSError as error:
        message = f"no directory for temporary files: {error.strerror}"
        raise unusable(message, "name a writable directory in TMPDIR") from error


async def play(seconds: float, state: Path, *, quiet: bool) -> Outcome:
    """Run the demo; return what arrived, and whether the books balance."""
    configure_log(LogConfig(level="error"))
    emulator = Emulator(access_key=KEY, secret_key=SECRET, region=REGION, clock=SystemClock())
    url = await emulator.start()
    try:
        relay = await open_relay(url, state, window=max(1, min(5, int(seconds) // 3)), quiet=quiet)
        running = asyncio.create_task(relay.run())
        traffic = Traffic(to=relay.listeners[0].bound, random=random.Random(0))  # noqa: S311 - repeatable, not secret
        await traffic.run(seconds)
        relay.stop()
        return make_outcome(traffic, emulator, (await running).books)
    finally:
        await emulator.stop()


async def open_relay(url: str, state: Path, *, window: int, quiet: bool) -> Relay:
    """Open a relay that sends to the emulator at `url`; a quiet one leaves standard output alone."""
    endpoint = f"{url}/v1/customMetrics"
    config = Config(
        listen=ListenConfig(udp=["127.0.0.1:0"]),
        tags={"host": "demo"},
        window=msgspec.structs.replace(WindowConfig(), seconds=window),
        cloud=CloudConfig(endpoint=endpoint, region=REGION, namespace="demo"),
        admin=AdminConfig(listen="127.0.0.1:0"),
        telemetry=TelemetryConfig(to_cloud=False),
    )
    credentials = Credentials(access_key=KEY, secret_key=Secret(SECRET), region=REGION, origin="demo")
    relay = Relay(
        config=config,
        credentials=credentials,
        state=state,
        clock=SystemClock(),
        reporter=Reporter(log=text_logger(sys.stderr if quiet else sys.stdout)),
    )
    await relay.open()
    return relay


def make_outcome(traffic: Traffic, emulator: Emulator, books: Books) -> Outcome:
    """Compare what arrived with what was sent."""
    metrics = {
        metric: Arrived(
            lines=count,
            sent=traffic.sums[metric],
            arrived=round(emulator.total(metric)),
            points=len(emulator.points(metric)),
        )
        for metric, count in sorted(traffic.lines.items())
    }
    is_complete = all(metric.sent == metric.arrived for metric in metrics.values())
    balanced = is_complete and sum(books.rejected.values()) == traffic.bad and books.imbalance() == 0
    return Outcome(metrics=metrics, bad_lines=traffic.bad, books=books, balanced=balanced)
