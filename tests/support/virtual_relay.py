"""A relay in virtual time, from a start to a stop or a kill: that of app.py without sockets; and its cloud."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from email.utils import formatdate
from typing import TYPE_CHECKING
from unittest.mock import patch

import msgspec

from relay.config.credentials import Credentials
from relay.config.schema import (
    AdminConfig,
    CloudConfig,
    Config,
    ListenConfig,
    SpoolConfig,
    TelemetryConfig,
    WindowConfig,
)
from relay.config.types import Secret, Size
from relay.daemon.app import Relay
from relay.daemon.build import ingest_settings
from relay.daemon.ingest import Ingest
from relay.delivery.spool.database import Database
from relay.delivery.state.directory import StateDirectory
from relay.errors import TransportError
from relay.hotpath.factory import make_hotpath
from relay.model import Reply
from tests.support import hotpath
from tests.support.inprocess import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.virtual_loop import LoopClock

SECONDS = 10
"""Length of a window."""
STOP = 5.0
"""Longest time of a stop, in seconds."""


class RecordingCloud:
    """A cloud that records each value of each (series, window); its own clock never steps."""

    def __init__(self, wall: float) -> None:
        self.is_down = False
        self.values: dict[tuple, list[dict]] = defaultdict(list)
        self._wall = wall

    async def post(self, url, headers, body) -> Reply:
        await asyncio.sleep(0.02)
        if self.is_down:
            raise TransportError("down", cause="connect", ambiguous=False)
        for point in json.loads(body)["metricDataList"]:
            found = self.values[point["metric"], tuple(point["dimensions"].items()), point["timestamp"]]
            if point["values"] not in found:
                found.append(point["values"])
        date = formatdate(self._wall + asyncio.get_running_loop().time(), usegmt=True)
        return Reply(status=200, headers={"date": date}, body=b'{"requestId":"r","result":{"success":true}}')

    async def close(self) -> None:
        """Nothing is open."""

    def conflicts(self) -> dict[tuple, list[dict]]:
        return {key: found for key, found in self.values.items() if len(found) > 1}

    def totals(self) -> Counter[str]:
        """Sums of counters."""
        totals: Counter[str] = Counter()
        for (metric, *_), found in self.values.items():
            totals[metric] += max(int(value["sum"]) for value in found) if metric.startswith("c") else 0
        return totals


class VirtualRelay:
    """State: the relay, its task, its locks and its databases.

    Args:
        to_cloud: whether it sends its own figures.
    """

    def __init__(
        self, state: Path | None, *, clock: LoopClock, cloud: RecordingCloud, host: str = "a", to_cloud: bool = True
    ) -> None:
        config = Config(
            listen=ListenConfig(udp=[], hotpath=hotpath.chosen),
            tags={"host": host},
            window=msgspec.structs.replace(WindowConfig(), seconds=SECONDS),
            cloud=CloudConfig(
                endpoint="http://127.0.0.1:9/v1/customMetrics", requests_per_minute=60_000, concurrency=2
            ),
            admin=AdminConfig(listen=""),
            spool=SpoolConfig(max=Size(16 * 1024 * 1024)),
            telemetry=TelemetryConfig(to_cloud=to_cloud),
        )
        settings = ingest_settings(config)
        credentials = Credentials(access_key="ak", secret_key=Secret("sk"), region="r", origin="test")
        self.directory = state
        self._clock = clock
        self._locks: list[StateDirectory] = []
        self._databases: list[Database] = []
        self.relay = Relay(
            config=config,
            credentials=credentials,
            transport=cloud,
            state=state,
            clock=clock,
            reporter=Silent(),
            ingest=Ingest(
                settings, make_hotpath(settings.implementation, **settings.hotpath), [], clock=clock, is_held=True
            ),
        )

    async def start(self) -> VirtualRelay:
        open_directory, connect = StateDirectory.open, Database.connect

        def record_lock(path: Path, place: str) -> StateDirectory:
            self._locks.append(open_directory(path, place))
            return self._locks[-1]

        def record_database(database: Database) -> bool:
            self._databases.append(database)
            return connect(database)

        with patch.object(StateDirectory, "open", record_lock), patch.object(Database, "connect", record_database):
            await self.relay.open()
        self._running = asyncio.create_task(self.relay.run())
        await asyncio.sleep(0)
        return self

    def feed(self, *lines: bytes) -> None:
        self.relay.hotpath.feed(b"\n".join(lines), self._clock.wall())

    async def stop(self) -> float:
        """Stop in order; return how many seconds it took."""
        began = self._clock.monotonic()
        self.relay.stop()
        await self._running
        return self._clock.monotonic() - began

    async def kill(self, others: set[asyncio.Task]) -> None:
        """End at once: nothing more is written or sent, and the files stay as they are.

        Args:
            others: tasks that are not of this relay.
        """
        self.relay._closing.pop_all()
        mine = asyncio.all_tasks() - others - {asyncio.current_task()}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        for database in self._databases:
            database.close()
        self.relay.ingest.stop()
        for lock in self._locks:
            lock.close()
