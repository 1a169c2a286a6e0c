"""An outage of the cloud in virtual time: windows through the real spool and senders, then the cloud is back.

SQLite, files, HTTP and the emulator are real; only waiting is virtual: a minute passes when every task sleeps.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay.config.types import Secret
from relay.daemon.egress import pack_requests
from relay.delivery.dead_letters.buffer import DeadLetters
from relay.delivery.request_history import RequestHistory
from relay.delivery.sender.gate import SenderSettings
from relay.delivery.sender.pool import SenderPool
from relay.delivery.spool.spool import Lease, Spool
from relay.delivery.transport import HttpTransport
from relay.jdcloud.cloud import JDCloud
from relay.jdcloud.points import PointEncoder
from relay.jdcloud.sign import Signer
from relay.model import ClosedWindow, Kind, Rollup, Row, Series
from tests.support.clock import EventClock
from tests.support.context import make_context
from tests.support.emulator import ControlledEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relay.ledger import Ledger
    from relay.model import Reply

WINDOW = 60
QUOTA = 900
"""Requests a minute, the default."""
CONCURRENCY = 8
POINTS_PER_SERIES = 1.3
"""Three in ten series are timers, which have a percentile."""
_SERVICES = ("checkout", "catalog", "search", "session", "payment", "mail")
_VERBS = ("requests", "errors", "latency", "queue.depth", "cache.hits", "cache.misses", "bytes.sent", "db.reads")
_TIMESTAMP = re.compile(rb'"timestamp":(\d+)')


class P95:
    """Quantiles of a timer: every one has the same value."""

    def __init__(self, value: float) -> None:
        self._value = value

    def quantile(self, _: float) -> float:
        """Return the value."""
        return self._value


def rows(count: int, dice: random.Random) -> Iterator[Row]:
    """Yield series whose points number `count`: half counters, three in ten timers, the rest gauges."""
    number = left = 0
    while left < count:
        service, verb = _SERVICES[number % len(_SERVICES)], _VERBS[number // 6 % len(_VERBS)]
        dimensions = (("env", "production"), ("host", "web12.example"), ("shard", f"s{number:04}"))
        kind = (Kind.COUNTER, Kind.TIMER, Kind.COUNTER, Kind.GAUGE, Kind.COUNTER)[number % 5]
        samples = dice.randint(1, 900)
        low, mean = dice.random() * 20, 20 + dice.random() * 80
        quantiles = P95(mean * 3.1) if kind is Kind.TIMER and left + 1 < count else None
        rollup = Rollup(
            samples=samples,
            count=float(samples),
            sum=float(samples) if kind is Kind.COUNTER else mean * samples,
            min=low,
            max=mean * 4,
            last=mean,
            quantiles=quantiles,
        )
        yield Series(f"shop.{service}.{verb}", dimensions, kind), rollup
        number += 1
        left += 1 if quantiles is None else 2


@dataclass
class Figures:
    """The figures of an outage."""

    windows: int
    points: int
    """Points of a window."""
    disk_bytes: int = 0
    """Database and its log, at the end of the outage."""
    down: list[int] = field(default_factory=list)
    """Requests of each minute of the outage."""
    drain_minutes: int = 0
    delivered: int = 0
    twice: int = 0
    """Points that were stored more than once."""
    fresh_seconds: list[float] = field(default_factory=list)
    """Seconds from the close of each window of the drain to its last point."""
    while_both: int = 0
    """Requests sent while a fresh window and a backlog both waited."""
    of_backlog: int = 0
    """Those that were of the backlog."""
    store_seconds: float = 0.0
    """Real time of all commits."""
    drain_real_seconds: float = 0.0

    @property
    def bytes_a_point(self) -> float:
        """Bytes on disk for each point."""
        return self.disk_bytes / (self.windows * self.points)

    @property
    def backlog_share(self) -> float:
        """Share of the backlog in the requests while both waited."""
        return self.of_backlog / self.while_both if self.while_both else 1.0

    def hours(self, series: int, limit: int = 2**30) -> float:
        """Return how many hours of `series` series a spool of `limit` bytes holds."""
        return limit / (series * POINTS_PER_SERIES * self.bytes_a_point * 60)

    def lines(self) -> Iterator[str]:
        """Yield the figures for people."""
        total = self.windows * self.points
        open_ = self.down[2:] or [0]
        yield f"outage: {self.windows} windows x {self.points} points = {total} points"
        yield f"disk: {self.disk_bytes / 1e6:.1f} MB, {self.bytes_a_point:.1f} bytes a point"
        yield f"while open: {sum(open_) / len(open_):.2f} requests a minute, at most {max(open_)}"
        yield f"commit: {self.store_seconds / self.windows * 1000:.1f} ms a window"
        ideal = total / 50 / (QUOTA - self.points / 50)
        yield f"drain: {self.drain_minutes} minutes at {QUOTA} requests a minute (at best {ideal:.1f})"
        yield f"delivered: {self.delivered} points, {self.twice} twice"
        slowest = max(self.fresh_seconds, default=0.0)
        yield f"order: a fresh window is complete after {slowest:.1f} s at most; backlog share {self.backlog_share:.0%}"
        hours = ", ".join(f"{self.hours(series):,.0f} h of {series:,} series" for series in (1_000, 10_000, 50_000))
        yield f"1 GiB holds {hours}"


class RecordingTransport:
    """A transport that records each request and its time."""

    def __init__(self, inner: HttpTransport, clock: EventClock) -> None:
        self._inner = inner
        self._clock = clock
        self.attempts: Counter[int] = Counter()
        """Requests by minute."""
        self.sent: list[tuple[float, int]] = []
        """Time and window of each request that was answered with 200."""
        self.busy = 0

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request."""
        self.attempts[int(self._clock.monotonic() // WINDOW)] += 1
        self.busy += 1
        try:
            reply = await self._inner.post(url, headers, body)
        finally:
            self.busy -= 1
        if reply.status == 200 and (found := _TIMESTAMP.search(body)):
            self.sent.append((self._clock.monotonic(), int(found[1])))
        return reply

    async def close(self) -> None:
        """Release connections."""
        await self._inner.close()


class CountingSpool(Spool):
    """A spool that counts the senders that wait for it."""

    taking = 0

    async def lease(self, *, live: bool = False) -> Lease:
        """Lease the next batch."""
        self.taking += 1
        try:
            return await super().lease(live=live)
        finally:
            self.taking -= 1


class Outage:
    """State: a relay's delivery, a cloud, and the figures."""

    def __init__(self, directory: Path, *, windows: int, points: int) -> None:
        self._directory = directory
        self._dice = random.Random(1)
        self.figures = Figures(windows=windows, points=points)
        first = int(time.time()) // WINDOW * WINDOW - windows * WINDOW
        self._clock = EventClock(float(first), busy=self._busy)
        self._next = first
        self._transport = RecordingTransport(
            HttpTransport(timeout=5, connect_timeout=2, concurrency=CONCURRENCY, ca_file="", proxy=""), self._clock
        )
        self._encoder = PointEncoder(namespace="shop", output="aggregate", counter_values="total", percentiles=[95.0])
        self._closed: dict[int, float] = {}
        """When each window was stored."""
        self._emulator = ControlledEmulator(access_key="ak", secret_key="sk", region="r", clock=self._clock)

    def _busy(self) -> bool:
        """Say whether real I/O is under way: a request, or the read of a body."""
        return bool(self._transport.busy or (self._spool.taking and self._spool.batches))

    async def run(self) -> Figures:
        """Run the outage and the drain; return the figures."""
        url = await self._emulator.start()
        await self._emulator.stop()
        context, nonces = make_context(self._clock, interval=1e9), iter(range(10**9))
        self._spool = await CountingSpool.open(self._directory, context, limit_bytes=2**30)
        signer = Signer(access_key="ak", secret_key=Secret("sk"), region="r")
        endpoint = f"{url}/v1/customMetrics"
        pool = SenderPool(
            spool=self._spool,
            cloud=JDCloud(endpoint=endpoint, region="r", signer=signer, nonce=lambda: str(next(nonces))),
            transport=self._transport,
            settings=SenderSettings(
                concurrency=CONCURRENCY, requests_per_minute=QUOTA, spread=WINDOW / 6, max_age=30 * 86_400.0
            ),
            dead_letters=DeadLetters(self._directory, context),
            history=RequestHistory(2**20),
            context=context,
            random=self._dice.random,
        )
        running = asyncio.create_task(pool.run())
        await self._be_down()
        await self._emulator.start(port=int(url.rpartition(":")[2]))
        await self._drain()
        self._judge(context.ledger)
        await pool.drain(until=0.0)
        await running
        await self._spool.close()
        await self._transport.close()
        await self._emulator.stop()
        return self.figures

    async def _be_down(self) -> None:
        figures = self.figures
        for minute in range(figures.windows):
            await self._close_window()
            await self._clock.pass_(WINDOW)
            figures.down.append(self._transport.attempts[minute])
        figures.disk_bytes = sum(path.stat().st_size for path in self._directory.glob("spool.db*"))

    async def _drain(self) -> None:
        """Pass minutes, with a fresh window each, until the backlog is sent."""
        figures, began, backlog = self.figures, time.perf_counter(), self._next
        while True:
            await self._close_window()
            await self._clock.pass_(WINDOW)
            figures.drain_minutes += 1
            oldest = self._spool.oldest_window
            if oldest is None or oldest >= backlog:
                break
            if figures.drain_minutes > figures.windows:
                raise RuntimeError(f"the backlog does not shrink: {self._spool.batches} batches")
        figures.drain_real_seconds = time.perf_counter() - began
        self._backlog = backlog

    async def _close_window(self) -> None:
        made = list(rows(self.figures.points, self._dice))
        window = ClosedWindow(start=self._next, seconds=WINDOW, samples=0, series=[row[0] for row in made], rows=made)
        batches = list(pack_requests(self._encoder.encode_window(window), self._next))
        began = time.perf_counter()
        await self._spool.store(self._next, batches, {})
        self.figures.store_seconds += time.perf_counter() - began
        self._closed[self._next] = self._clock.monotonic()
        self._next += WINDOW

    def _judge(self, ledger: Ledger) -> None:
        figures = self.figures
        figures.delivered = ledger.points_delivered
        figures.twice = len(self._emulator.duplicates())
        left: defaultdict[int, list[float]] = defaultdict(list)
        for moment, window in self._transport.sent:
            left[window].append(moment)
        for window in range(self._backlog, self._next, WINDOW):
            figures.fresh_seconds.append(left[window][-1] - self._closed[window])
            both = [of for moment, of in self._transport.sent if self._closed[window] <= moment <= left[window][-1]]
            older = sum(of < self._backlog for of in both)
            if older:
                figures.while_both += len(both)
                figures.of_backlog += older
