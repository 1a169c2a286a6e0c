"""A relay in this process with an emulator, over real sockets and real HTTP."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from relay.clock import SystemClock
from relay.config.credentials import Credentials
from relay.config.schema import (
    AdminConfig,
    CloudConfig,
    Config,
    LimitsConfig,
    ListenConfig,
    TelemetryConfig,
    WindowConfig,
)
from relay.config.types import Secret
from relay.daemon.app import Relay
from relay.daemon.build import admin_addresses
from relay.daemon.cloud import make_transport
from relay.daemon.lifecycle.reload import Reconfiguration
from relay.listener.admin_sockets import AdminSockets
from tests.support import hotpath
from tests.support.relay import ACCESS, REGION, SECRET, make_emulator
from tests.support.state import LONG_WINDOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from relay.daemon.lifecycle.shutdown import ShutdownReport
    from tests.support.emulator import ControlledEmulator


LONG_WINDOWS = msgspec.structs.replace(WindowConfig(), seconds=LONG_WINDOW)
CREDENTIALS = Credentials(access_key=ACCESS, secret_key=Secret(SECRET), region=REGION, origin="test")


class Silent:
    """A reporter that stores the reports."""

    def __init__(self) -> None:
        self.windows = []
        self.end: ShutdownReport | None = None

    def started(self, relay) -> None: ...

    def closed(self, window, *, lost) -> None:
        self.windows.append((window, lost))

    def stopped(self, stopped) -> None:
        self.end = stopped


@dataclass
class Running:
    relay: Relay
    emulator: ControlledEmulator
    reporter: Silent
    task: asyncio.Task
    reconfiguration: Reconfiguration

    async def feed(self, *datagrams: bytes) -> None:
        """Send over the socket and wait until all have been received."""
        listener = self.relay.listeners[0]
        wanted = listener.datagrams + len(datagrams)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number, datagram in enumerate(datagrams):
                sock.sendto(datagram, listener.bound)
                if number % 200 == 199:
                    await asyncio.sleep(0)
                    while listener.datagrams < wanted - len(datagrams) + number + 1:
                        await asyncio.sleep(0.001)
        while listener.datagrams < wanted:
            await asyncio.sleep(0.002)

    async def delivered(self, metric: str, total: float) -> None:
        while self.emulator.total(metric) < total:
            assert self.relay.status.books().imbalance() == 0
            await asyncio.sleep(0.01)

    async def reconfigure(self, config: Config) -> None:
        """Let the next window begin with another configuration."""
        transport = make_transport(config.cloud)
        await self.reconfiguration.schedule(config, credentials=CREDENTIALS, transport=transport)

    async def stop(self) -> ShutdownReport:
        self.relay.stop()
        return await self.task


@asynccontextmanager
async def open_relay(state: Path | None, *, takes_over: bool = False, **changes) -> AsyncIterator[Running]:
    """A running relay; `changes` replace sections of its configuration. Ends with the equations.

    Its own figures are not sent: tests count points exactly (daemon/windows/test_self_metrics.py sends them).
    """
    emulator = make_emulator()
    url = await emulator.start()
    config = Config(
        listen=ListenConfig(udp=["127.0.0.1:0"], hotpath=hotpath.chosen),
        tags={"host": "test"},
        window=msgspec.structs.replace(WindowConfig(), seconds=1),
        cloud=CloudConfig(endpoint=f"{url}/v1/customMetrics"),
        admin=AdminConfig(listen="127.0.0.1:0"),
        limits=LimitsConfig(),
        telemetry=TelemetryConfig(to_cloud=False),
    )
    config = msgspec.structs.replace(config, **changes)
    reporter = Silent()
    relay = Relay(
        config=config,
        credentials=CREDENTIALS,
        state=state,
        clock=SystemClock(),
        reporter=reporter,
        admin=AdminSockets(admin_addresses(config), waits=takes_over),
    )
    try:
        await relay.open()
    except BaseException:
        await emulator.stop()
        raise
    running = Running(relay, emulator, reporter, asyncio.create_task(relay.run()), Reconfiguration(relay))
    try:
        yield running
        stopped = await running.stop()
        assert stopped.books.imbalance() == 0
    finally:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
        await emulator.stop()
