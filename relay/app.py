"""The composition root: the only file that knows the order of the stages.

It builds right to left (what receives exists before what gives) and drains left to right (sockets, window, spool,
senders), so that nothing is ever handed to a stage that has stopped. One datagram's walk: `UdpListener` ->
`HotPath` -> `Closer` -> `Namer` -> `PointEncoder` -> `pack` -> `Spool.store` -> `SenderPool` -> cloud.

A `Relay` is opened, run and closed once; it holds no global state, so two of them live in one process.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from relay import limits
from relay.delivery.batcher import pack
from relay.delivery.checkpoint import Checkpointer, CheckpointFiles
from relay.delivery.dead_letters import DeadLetters
from relay.delivery.gate import Settings
from relay.delivery.pool import SenderPool
from relay.delivery.replay import Replays
from relay.delivery.spool import Spool
from relay.delivery.spread import phase_of
from relay.delivery.state_directory import StateDirectory
from relay.hotpath.choose import choose_hotpath
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL, PointEncoder
from relay.listener.opening import open_streams, open_unix_datagrams
from relay.listener.udp import UdpListener
from relay.listener.watch import KernelWatch
from relay.naming import Namer
from relay.recovery import Owed, Recovery
from relay.telemetry import Books, Growth, Ledger, LossLog, balance, tell_of_window
from relay.window import Closed, Closer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from relay.admin.server import AdminServer
    from relay.clock import Clock
    from relay.config.schema import Config
    from relay.delivery.way import Cloud, Transport
    from relay.hotpath.choose import HotPath
    from relay.model import Batch, Point, Tally

LAG_PROBE = 0.5
"""Seconds between two measurements of the event loop's lag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of the open window and of what was on its way."""

    closed_early: bool
    seconds: float
    books: Books


class Witness(Protocol):
    """Who is told what happens: the terminal, or the log."""

    def started(self, relay: Relay) -> None:
        """Sockets are bound and senders run."""

    def closed(self, closed: Closed, *, lines: int, rejected: int) -> None:
        """A window was stored; so many lines came since the last one."""

    def stopped(self, stopped: Stopped) -> None:
        """Everything is accounted for."""


def pack_requests(points: Iterable[Point], window: int) -> Iterator[Batch]:
    """Pack points into putMetricData bodies."""
    return pack(points, window=window, head=BODY_HEAD, tail=BODY_TAIL)


class Relay:
    """State: the stages, and what was counted when the last window closed."""

    def __init__(
        self,
        *,
        config: Config,
        cloud: Cloud,
        transport: Transport,
        state: Path | None,
        clock: Clock,
        witness: Witness,
    ) -> None:
        self.config = config
        self._cloud = cloud
        self._transport = transport
        self._state = state
        self._clock = clock
        self._witness = witness
        self.ledger = Ledger()
        self.loss_log = LossLog(clock)
        self.loop_lag = 0.0
        self._growth = Growth()
        self._stop = asyncio.Event()
        self._closing = AsyncExitStack()
        """What was opened, closed in the opposite order."""

    def __repr__(self) -> str:
        """Report the books."""
        return f"<Relay imbalance {self.books().imbalance()}>"

    # --- right to left ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the state, restore it, bind the sockets.

        Raises:
            RelayError: a socket or the state directory cannot be used.
        """
        try:
            await self._open_delivery()
            await self._open_window()
            await self._open_sockets()
        except BaseException:
            await self._closing.aclose()
            raise
        self._witness.started(self)

    async def _open_delivery(self) -> None:
        ledger = self.ledger
        if self._state:
            directory = await asyncio.to_thread(StateDirectory.open, self._state)
            self._closing.callback(directory.close)
        quota = self.config.spool.max
        self.spool = await Spool.open(
            self._state, ledger=ledger, clock=self._clock, loss_log=self.loss_log, limit_bytes=quota
        )
        self._closing.push_async_callback(self.spool.close)
        self._dead_letters = DeadLetters(
            self._state, ledger=ledger, clock=self._clock, limit=self.config.spool.dead_letters, loss_log=self.loss_log
        )
        self._closing.push_async_callback(self._dead_letters.close)
        self.pool = SenderPool(
            spool=self.spool,
            cloud=self._cloud,
            transport=self._transport,
            settings=self._pool_settings(),
            dead_letters=self._dead_letters,
            ledger=ledger,
            loss_log=self.loss_log,
            clock=self._clock,
            random=random.random,
        )
        self._closing.push_async_callback(self.pool.close)
        self._replays = Replays(
            self._state, spool=self.spool, pack=pack_requests, clock=self._clock, loss_log=self.loss_log
        )

    def _pool_settings(self) -> Settings:
        phase = phase_of(self.config.tags.get("host", ""))
        return Settings.of(self.config.cloud, window=self.config.window.seconds, phase=phase)

    async def _open_window(self) -> None:
        config = self.config
        self.namer = Namer(
            prefix=config.names.prefix,
            tags=config.tags,
            dialects=config.listen.dialects,
            strict=config.listen.names == "strict",
            reserved_prefix=config.telemetry.prefix,
            classes_limit=config.limits.series * limits.IDENTITIES_PER_SERIES,
            notices=self.ledger,
        )
        self.namer.load_classes(await self.spool.state("classes") or b"")
        self.hotpath = self._make_hotpath()
        files = CheckpointFiles(self._state) if self._state else None
        owed = await Owed.find(files, self.spool.committed, wall=self._clock.wall(), seconds=config.window.seconds)
        self.checkpointer = self._make_checkpointer(files) if files else None
        encoder = PointEncoder(
            namespace=config.cloud.namespace,
            output=config.cloud.output,
            counter_values=config.cloud.counter_values,
            percentiles=config.window.percentiles,
            requests_per_minute=config.cloud.requests_per_minute,
        )
        self.closer = Closer(
            seconds=config.window.seconds,
            hotpath=self.hotpath,
            namer=self.namer,
            encode=encoder.encode_window,
            pack=pack_requests,
            spool=self.spool,
            ledger=self.ledger,
            clock=self._clock,
            on_closed=self._closed,
            on_moved=self.checkpointer.move if self.checkpointer else None,
            resume=owed.resume,
        )
        if files:
            await self._restore(owed, files)

    def _make_hotpath(self) -> HotPath:
        config = self.config
        return choose_hotpath(
            config.listen, config.limits, config.window, max_age=config.cloud.max_age, catch_all=self.namer.overflow
        )

    def _make_checkpointer(self, files: CheckpointFiles) -> Checkpointer:
        checkpointer = Checkpointer(
            files,
            hotpath=self.hotpath,
            void=lambda: self.spool.committed,
            interval=self.config.window.checkpoint,
            clock=self._clock,
            loss_log=self.loss_log,
        )
        self._closing.push_async_callback(checkpointer.close)
        return checkpointer

    async def _restore(self, owed: Owed, files: CheckpointFiles) -> None:
        recovery = Recovery(
            hotpath=self.hotpath,
            make_hotpath=self._make_hotpath,
            namer=self.namer,
            closer=self.closer,
            ledger=self.ledger,
            loss_log=self.loss_log,
            files=files,
        )
        await recovery.restore(owed, await self.spool.state("gauges") or b"")

    async def _open_sockets(self) -> None:
        self.listeners: list[UdpListener] = []
        for address in self.config.listen.udp:
            self._open_readers(address)
        listen, sink, clock, closing = self.config.listen, self.hotpath, self._clock, self._closing
        self.listeners += open_unix_datagrams(listen, sink=sink, clock=clock, closing=closing)
        self.streams = open_streams(listen, sink=sink, clock=clock, loss_log=self.loss_log, closing=closing)
        for listener in self.listeners:
            listener.start()
        self.streams.start()
        self.watch = KernelWatch(self.listeners, loss_log=self.loss_log, clock=self._clock)
        self.admin = await self._open_admin() if self.config.admin.listen else None

    async def _open_admin(self) -> AdminServer:
        """Import it only now: its libraries take half of a start, and the sockets are read meanwhile."""
        await asyncio.to_thread(import_module, "relay.admin.server")
        from relay.admin.server import AdminServer  # noqa: PLC0415 - see above

        admin = AdminServer(listen=self.config.admin.listen, state=self)
        self._closing.push_async_callback(admin.stop)
        await admin.start()
        return admin

    def _open_readers(self, address: str) -> None:
        """Bind an address, once for each reader."""
        first = self._open_listener(address, number=1)
        if first.skipped:
            return
        readers = self.config.listen.reader_count(os.cpu_count() or 1) if self.hotpath.name == "native" else 1
        if readers > 1:
            first.share()
        bound = first.label.removeprefix("udp://")
        self.listeners += [first, *(self._open_listener(bound, number=number) for number in range(2, readers + 1))]

    def _open_listener(self, address: str, *, number: int) -> UdpListener:
        listener = UdpListener(
            address=address,
            receive_buffer=self.config.listen.receive_buffer,
            receive_delay=self.config.listen.delay_seconds(),
            sink=self.hotpath,
            clock=self._clock,
            optional=address.startswith("[::1]"),
            number=number,
        )
        self._closing.callback(listener.stop)
        listener.open()
        return listener

    # --- running ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for an orderly stop; `run` returns when it is done."""
        self._stop.set()

    async def run(self) -> Stopped:
        """Work until `stop`; an exception in any task ends the relay, loudly."""
        try:
            stopped = await self._work()
        finally:
            await self._closing.aclose()
        self._witness.stopped(stopped)
        return stopped

    async def _work(self) -> Stopped:
        async with asyncio.TaskGroup() as group:
            senders = group.create_task(self.pool.run(), name="senders")
            closing = group.create_task(self.closer.run(), name="closer")
            background = [self._probe_lag, self.watch.run, self.streams.run, self.spool.run]
            background += [self._dead_letters.run, self._replays.run]
            if self.checkpointer:
                background.append(self.checkpointer.run)
            probes = [group.create_task(run()) for run in background]
            await self._stop.wait()
            for listener in self.listeners:
                listener.stop()
            self.streams.stop()
            self.closer.stop()
            await closing
            stopped = await self._drain()
            await senders
            for probe in probes:
                probe.cancel()
        return stopped

    # --- left to right ------------------------------------------------------------------------------------------------

    async def _drain(self) -> Stopped:
        """Settle the open window: on disk at once, then closed if it is the current minute's, then sent."""
        began = self._clock.monotonic()
        await self.closer.name_all()
        if self.checkpointer:
            await self.checkpointer.save(everything=True)
        closed_early = await self.closer.close_early()
        if closed_early and self.checkpointer:
            await self.checkpointer.drop_void()
        await self.pool.drain(until=began + limits.STOP_SECONDS)
        if not self._state and not closed_early:
            await self.closer.discard()
        await self.spool.settle()
        return Stopped(closed_early=closed_early, seconds=self._clock.monotonic() - began, books=self.books())

    # --- what others may ask ------------------------------------------------------------------------------------------

    @property
    def hotpath_name(self) -> str:
        """Which implementation runs."""
        return self.hotpath.name

    @property
    def series_limit(self) -> int:
        """Bound of the open window's series."""
        return self.config.limits.series

    @property
    def rate_limit(self) -> float:
        """Requests a minute that may leave."""
        return self.pool.per_minute

    @property
    def checkpoint_interval(self) -> float:
        """Seconds between two checkpoints of the open window; 0 without a state directory."""
        return self.checkpointer.interval if self.checkpointer else 0.0

    @property
    def requests_in_flight(self) -> int:
        """Requests that wait for an answer."""
        return self.pool.requests_in_flight

    def wall(self) -> float:
        """Wall time in seconds."""
        return self._clock.wall()

    def tally(self) -> Tally:
        """Counts of the hot path."""
        return self.hotpath.tally()

    def books(self) -> Books:
        """All three equations at this moment."""
        return balance(self.tally(), self.ledger, spooled=self.spool.points, in_flight=self.pool.in_flight)

    def healthy(self) -> tuple[bool, str]:
        """Liveness: the loop answers. The cloud being down never makes a relay unhealthy."""
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Readiness: listening, and not stopping."""
        if self._stop.is_set():
            return False, "stopping"
        return True, f"listening on {len(self.listeners) + len(self.streams.listeners)} sockets"

    def _closed(self, closed: Closed) -> None:
        tally, since_last = self.tally(), self._growth.since_last
        lines, rejected = since_last("received", tally.received), since_last("rejected", sum(tally.rejected.values()))
        self._witness.closed(closed, lines=lines, rejected=rejected)
        if closed.over_quota:
            needed, allowed = closed.over_quota
            event, fix = (
                "RLY403 the quota is nearly used up, percentiles are not sent",
                "send fewer series, or raise it",
            )
            self.loss_log.warn(event, reason="quota", requests_needed=needed, requests_allowed=allowed, fix=fix)
        tell_of_window(self._growth, self.loss_log, tally, self.ledger, self.hotpath.rejects())

    async def _probe_lag(self) -> None:
        while True:
            began = self._clock.monotonic()
            await self._clock.sleep(LAG_PROBE)
            self.loop_lag = max(0.0, self._clock.monotonic() - began - LAG_PROBE)
