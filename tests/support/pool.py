"""A sender pool with a spool and an emulator over real HTTP, without a relay around it."""

from __future__ import annotations

import asyncio
import json

from relay.clock import SystemClock
from relay.config.types import Secret
from relay.context import Context
from relay.delivery.batcher import pack
from relay.delivery.dead_letters.buffer import DeadLetters
from relay.delivery.dead_letters.format import letter_files
from relay.delivery.request_history import RequestHistory
from relay.delivery.sender.gate import SenderSettings
from relay.delivery.sender.pool import SenderPool
from relay.delivery.transport import HttpTransport
from relay.jdcloud.cloud import JDCloud
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL
from relay.jdcloud.sign import Signer
from relay.ledger import Ledger
from relay.loss_log import LossLog
from relay.model import Point
from tests.support.clock import VirtualClock
from tests.support.context import make_context
from tests.support.emulator import ControlledEmulator
from tests.support.spool import open_spool

CLOCK = SystemClock()


def batches(count: int, per_request: int = 5, *, window: int | None = None, bad=frozenset(), first: int = 0):
    """Return a window and requests of `count` points m0, m1, ...; the cloud lists those in `bad` as illegal."""
    now = int(CLOCK.wall()) // 60 * 60 if window is None else window
    points = [
        Point(
            json.dumps(
                {
                    "namespace": "n",
                    "metric": f"m{number}" if number not in bad else f"m-{number}",
                    "dimensions": {"host": "h"},
                    "timestamp": now,
                    "type": 2,
                    "values": {"sum": number},
                }
            ).encode()
        )
        for number in range(first, first + count)
    ]
    return now, list(pack(points, window=now, head=BODY_HEAD, tail=BODY_TAIL, max_points=per_request))


class Setup:
    """A pool, a spool, an emulator; `clock` drives the pool's waits."""

    def __init__(
        self,
        directory,
        *,
        clock=CLOCK,
        transport=None,
        secret="sk",
        newer_signer=None,
        cloud=None,
        timeout=1,
        **settings,
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.settings = SenderSettings(**{"concurrency": 4, "requests_per_minute": 60_000, **settings})
        self.newer_signer = newer_signer or (lambda: None)
        self.transport = transport or HttpTransport(
            timeout=timeout, connect_timeout=timeout / 2, concurrency=4, ca_file="", proxy=""
        )
        self.emulator = cloud or ControlledEmulator(access_key="ak", secret_key="sk", region="r", clock=CLOCK)
        self.signer = Signer(access_key="ak", secret_key=Secret(secret), region="r")
        self.ledger = Ledger()

    async def __aenter__(self) -> Setup:
        self.url = await self.emulator.start()
        nonces = iter(range(10**6))
        self.cloud = JDCloud(
            endpoint=f"{self.url}/v1/customMetrics",
            region="r",
            signer=self.signer,
            nonce=lambda: str(next(nonces)),
            newer_signer=self.newer_signer,
        )
        self.spool = await open_spool(self.directory, ledger=self.ledger)
        self.history = RequestHistory(2**20)
        self.pool = SenderPool(
            spool=self.spool,
            cloud=self.cloud,
            transport=self.transport,
            settings=self.settings,
            dead_letters=DeadLetters(self.directory, make_context(CLOCK, ledger=self.ledger)),
            history=self.history,
            context=Context(self.clock, self.ledger, LossLog(CLOCK)),
            random=lambda: 0.01,
        )
        self.running = asyncio.create_task(self.pool.run())
        return self

    async def __aexit__(self, *_) -> None:
        await self.pool.drain(until=0.0)
        await self.running
        await self.spool.close()
        await self.transport.close()
        await self.emulator.stop()

    async def send(self, count: int, per_request: int = 5, **options) -> None:
        window, packed = batches(count, per_request, **options)
        await self.spool.store(window, packed, {})

    async def settle(self) -> None:
        while self.spool.points or self.spool.leased:
            assert self.balanced()
            await asyncio.sleep(0.005)
        assert self.balanced()

    async def only_quarantined_left(self) -> None:
        """Wait until every batch is done except those in quarantine."""
        await self.until(lambda: not self.spool.points and self.spool.leased == self.pool._quarantine.points)

    async def until(self, condition) -> None:
        while not condition():
            assert self.balanced()
            await asyncio.sleep(0.005)

    def letters(self) -> list[dict]:
        """Return the dead letters."""
        paths = letter_files(self.directory)
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def metrics(self) -> list[str]:
        """Return the metrics that the cloud stored, in order."""
        return [point["metric"] for point in self.emulator.received]

    def balanced(self) -> bool:
        ledger = self.ledger
        assert ledger.points_refused == sum(ledger.points_refused_by_reason.values())
        left = self.spool.points + self.pool.in_flight + sum(ledger.points_dropped.values())
        return ledger.points_created == ledger.points_delivered + ledger.points_refused + left


class Paused(VirtualClock):
    """A virtual clock whose sleeps let real answers arrive."""

    def __init__(self) -> None:
        super().__init__(CLOCK.wall())

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0.001)
