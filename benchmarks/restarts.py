"""Packets lost over restarts under load, side by side: npm statsd and this relay, restarted in three ways.

    python -m benchmarks.restarts [--restarts 20] [--seconds 24] [--rate 8000] [--flush 2] [--only "npm statsd"]

The same packets at the same rate go to each server. It is stopped (SIGTERM) every 1.2 s and started again at once; the
next stop waits until it is ready. The first stop comes after 0.6 s, so 0.6 s without one follow the last. Two flushes
later its back end is compared with what was sent, packet by packet (tests/support/load.py). npm statsd flushes to a
Graphite listener, the relay to the local cloud; both flush every two seconds. A packet sent while no socket was open is
lost; "kernel" counts drops at a socket that stayed open.

The relay is restarted as a whole; with its socket held by this script, as systemd does; and by its supervisor, which
replaces the worker (SIGUSR2).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.servers import QUIET
from tests.support.load import BASE, Load
from tests.support.node import has_node, install
from tests.support.oracle import judge
from tests.support.relay import environment, free_port, make_emulator, run
from tests.support.server import udp_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relay.tools.emulator import Emulator

STOP_SECONDS = 10.0
SO_RCVBUFFORCE = 33
"""As systemd sets ReceiveBuffer=; needs CAP_NET_ADMIN."""
COUNTER = "stats.counters."


class Daemon(Protocol):
    """A server that can be ended and started again."""

    port: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; its socket may be bound later."""
        ...

    async def restart(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Replace the process; return the new one."""
        ...

    def points(self) -> list[dict[str, object]]:
        """Return the points of its back end, in the form of the local cloud."""
        ...


@dataclass
class Graphite:
    """State: the sums that arrived in Graphite's line protocol, by metric."""

    totals: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Add up the lines of one connection."""
        async for line in reader:
            name, value, _ = line.decode().split()
            if name.startswith(COUNTER) and name.endswith(".count"):
                self.totals[name.removeprefix(COUNTER).removesuffix(".count")] += float(value)
        writer.close()


class Restarted:
    """A daemon that is restarted as a whole, as by an init system, which waits until it is ready."""

    port: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start it."""
        raise NotImplementedError

    def starts(self) -> int:
        """Return how often it was ready; by default it is ready while its socket is bound."""
        return int(udp_row(self.port) is not None)

    async def restart(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Stop it and start it again at once."""
        await end(process)
        before, process = self.starts(), self.start()
        await self.ready(before)
        return process

    async def ready(self, before: int) -> None:
        """Wait until `starts` exceeds `before`."""
        ends = time.monotonic() + STOP_SECONDS
        while self.starts() <= before and time.monotonic() < ends:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


class Statsd(Restarted):
    """npm statsd in front of a Graphite listener."""

    def __init__(self, directory: Path, graphite: Graphite, graphite_port: int, flush: float) -> None:
        self.port = free_port()
        self._graphite = graphite
        self._config = directory / "config.js"
        self._config.write_text(
            f'{{ port: {self.port}, address: "127.0.0.1", mgmt_port: {free_port(socket.SOCK_STREAM)},'
            f' graphiteHost: "127.0.0.1", graphitePort: {graphite_port}, backends: ["./backends/graphite"],'
            f" graphite: {{ legacyNamespace: false }}, deleteIdleStats: true, flushInterval: {flush * 1000:.0f} }}"
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start node."""
        command = ["node", "--no-deprecation", str(install() / "statsd/stats.js"), str(self._config)]
        return subprocess.Popen(command, stdout=QUIET, stderr=QUIET)

    def points(self) -> list[dict[str, object]]:
        """Return the sums; statsd does not send counts, so the count is derived from the sum."""
        return [
            {"metric": name, "dimensions": {}, "timestamp": 0, "values": {"sum": total, "count": digits(int(total))}}
            for name, total in self._graphite.totals.items()
        ]


class Relay(Restarted):
    """This relay with the local cloud; with `held`, this script holds its socket and passes it as systemd does."""

    def __init__(self, directory: Path, emulator: Emulator, url: str, flush: float, *, held: bool) -> None:
        self._emulator = emulator
        self._log = directory / "log"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) if held else None
        if self._socket:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1] if self._socket else free_port()
        settings = {"LISTEN_UDP": f"127.0.0.1:{self.port}", "WINDOW_SECONDS": f"{flush:.0f}"}
        quota = {"CLOUD_COUNTER_VALUES": "samples", "CLOUD_REQUESTS_PER_MINUTE": "60000"}
        self._environ = environment(url, directory / "state", **settings, **quota)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, with LISTEN_FDS if its socket is held."""
        command, environ, keep = list(run()), self._environ, ()
        if self._socket:
            keep = (self._socket.fileno(),)
            shell = f'exec 3<&{keep[0]}; [ {keep[0]} = 3 ] || exec {keep[0]}<&-; LISTEN_PID=$$ exec "$@"'
            command = ["bash", "-c", shell, "bash", *command]
            environ = {**environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "udp"}
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=environ, stdout=log, stderr=log, pass_fds=keep, cwd="/")

    def starts(self) -> int:
        """Return how often it logged its start."""
        return self._log.read_bytes().count(b'"event": "started"')

    def points(self) -> list[dict[str, object]]:
        """Return the points in the local cloud."""
        return list(self._emulator.received)


class Replaced(Relay):
    """This relay with a supervisor that goes on and replaces the worker."""

    async def restart(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Replace the worker; return when the new one is ready."""
        before = self.starts()
        process.send_signal(signal.SIGUSR2)
        await self.ready(before)
        return process


def digits(number: int) -> int:
    """Return the sum of a number's digits in the load's base."""
    total = 0
    while number:
        number, digit = divmod(number, BASE)
        total += digit
    return total


@asynccontextmanager
async def statsd(flush: float) -> AsyncIterator[Daemon]:
    """Yield npm statsd."""
    graphite = Graphite()
    server = await asyncio.start_server(graphite.receive, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as directory:
        yield Statsd(Path(directory), graphite, server.sockets[0].getsockname()[1], flush)
    server.close()


@asynccontextmanager
async def relay(flush: float, *, kind: type[Relay] = Relay, held: bool = False) -> AsyncIterator[Daemon]:
    """Yield this relay."""
    emulator = make_emulator()
    with tempfile.TemporaryDirectory() as directory:
        yield kind(Path(directory), emulator, await emulator.start(), flush, held=held)
        await emulator.stop()


def servers(flush: float) -> dict[str, object]:
    """Return the servers by their names."""
    found = {"npm statsd": statsd(flush)} if has_node() else {}
    return {
        **found,
        "relay, whole": relay(flush),
        "relay, socket held": relay(flush, held=True),
        "relay, replaced": relay(flush, kind=Replaced),
    }


async def bound(daemon: Daemon, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port is bound."""
    ends = time.monotonic() + 30
    while udp_row(daemon.port) is None:
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"did not start, exit code {process.poll()}")
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)


async def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, after `STOP_SECONDS` with SIGKILL."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def until(moment: float) -> None:
    """Sleep to a moment of the monotonic clock."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


async def restart_under_load(daemon: Daemon, options: argparse.Namespace) -> str:
    """Return the row of one server."""
    process = daemon.start()
    longest = 0.0
    try:
        await bound(daemon, process)
        load = Load(f"udp:127.0.0.1:{daemon.port}", rate=options.rate, seconds=options.seconds * 4)
        began = time.monotonic()
        for number in range(options.restarts):
            await until(began + (number + 0.5) * options.seconds / options.restarts)
            moment = time.monotonic()
            process = await daemon.restart(process)
            longest = max(longest, time.monotonic() - moment)
        await until(began + options.seconds)
        sent = await load.stop()
        await asyncio.sleep(1 + 2 * options.flush)
        row = udp_row(daemon.port)
        await end(process)
        await asyncio.sleep(0.5)
    finally:
        if process.poll() is None:
            process.kill()
    verdict = judge(daemon.points(), sent)
    share = verdict.lost / sent.count
    drops = int(row[-1]) if row else 0
    return f"{sent.count:>10,}{verdict.lost:>10,}{share:>9.2%}{drops:>10,}{verdict.duplicated:>12,}{longest:>14.1f} s"


async def compare(options: argparse.Namespace) -> None:
    """Print one row a server."""
    print(
        f"{options.restarts} restarts in {options.seconds:g} s, {options.rate:g} packets/s, flush {options.flush:g} s\n"
    )
    print(f"{'':<22}{'sent':>10}{'lost':>10}{'':>9}{'kernel':>10}{'duplicated':>12}{'longest restart':>16}")
    for name, make in servers(options.flush).items():
        if options.only and name not in options.only.split(";"):
            continue
        async with make as daemon:
            try:
                row = await restart_under_load(daemon, options)
            except RuntimeError as error:
                row = f"  left out: {error}"
        print(f"{name:<22}{row}", flush=True)


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument("--rate", type=float, default=8000)
    parser.add_argument("--flush", type=float, default=2)
    parser.add_argument("--only", default="")
    if not has_node():
        print("LEFT OUT npm statsd: npm is missing", file=sys.stderr)
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
