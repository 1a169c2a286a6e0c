"""The composition root: the only file that knows the order of the stages.

It builds right to left (what receives exists before what gives) and drains left to right (sockets, window, spool,
senders), so that nothing is ever handed to a stage that has stopped. One datagram's walk: `UdpListener` ->
`HotPath` -> `Closer` -> `Namer` -> `PointEncoder` -> `pack` -> `Spool.store` -> `SenderPool` -> cloud.

A `Relay` is opened, run and closed once; it holds no global state, so two of them live in one process.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from relay import limits
from relay.assembly import begin_window, ingest_settings, make_encoder, make_namer, open_ingest, pack_requests
from relay.delivery.dead_letters import DeadLetters
from relay.delivery.partial_file import PartialFile
from relay.delivery.pool import SenderPool
from relay.delivery.rate import TokenBucket
from relay.delivery.spool import Spool
from relay.hotpath.choose import tell_of_hotpath
from relay.listener.watch import KernelWatch
from relay.telemetry import Books, Growth, Ledger, LossLog, balance, tell_of_window
from relay.window import Closed, Closer, Rules

if TYPE_CHECKING:
    from pathlib import Path

    from relay.admin.server import AdminServer
    from relay.clock import Clock
    from relay.config.schema import Config
    from relay.delivery.pool import Cloud, Transport
    from relay.ingest import Ingest
    from relay.model import Tally

LAG_PROBE = 0.5
"""Seconds between two measurements of the event loop's lag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of the open window and of what was on its way."""

    closed_early: bool
    seconds: float
    books: Books
    is_handed_over: bool = False
    """To the worker that comes next, which goes on with the same window."""


class Witness(Protocol):
    """Who is told what happens: the terminal, or the log."""

    def started(self, relay: Relay) -> None:
        """Sockets are bound and senders run."""

    def closed(self, closed: Closed, *, lines: int, rejected: int) -> None:
        """A window was stored; so many lines came since the last one."""

    def stopped(self, stopped: Stopped) -> None:
        """Everything is accounted for."""


class Relay:
    """State: the stages, and what was counted when the last window closed."""

    def __init__(  # noqa: PLR0913 - what comes from outside: settings, the way out, time, and who is told
        self,
        *,
        config: Config,
        cloud: Cloud,
        transport: Transport,
        state: Path | None,
        clock: Clock,
        witness: Witness,
        ingest: Ingest | None = None,
    ) -> None:
        self.config = config
        self._cloud = cloud
        self._transport = transport
        self._state = state
        self._clock = clock
        self._witness = witness
        self._given = ingest
        self.ledger = Ledger()
        self.loss_log = LossLog(clock)
        self.loop_lag = 0.0
        self._is_handing_over = False
        self.is_last_reload_successful = True
        self._growth = Growth()
        self._stop = asyncio.Event()
        self._closing = AsyncExitStack()
        """What was opened, closed in the opposite order."""

    def __repr__(self) -> str:
        """Report the books."""
        return f"<Relay imbalance {self.books().imbalance()}>"

    # --- right to left ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read the sockets first; then open the state and restore it; naming begins only when `run` does.

        Raises:
            RelayError: a socket or the state directory cannot be used.
        """
        self._closing.push_async_callback(self._transport.close)
        try:
            self.ingest = self._open_ingest()
            await self._open_delivery()
            await self._open_window()
            self.watch = KernelWatch(self.listeners, loss_log=self.loss_log, clock=self._clock)
            self.admin = await self._open_admin() if self.config.admin.listen else None
        except BaseException:
            await self._closing.aclose()
            raise
        self._witness.started(self)

    def _open_ingest(self) -> Ingest:
        """Take over what already receives, or open sockets of our own."""
        self.namer = make_namer(self.config, notices=self.ledger)
        ingest = self._given or open_ingest(self.config, self._clock)
        self._closing.callback(ingest.stop)
        self.hotpath, self.listeners = ingest.hotpath, ingest.listeners
        tell_of_hotpath(self.config.listen.hotpath, self.hotpath.name)
        ingest.start()
        return ingest

    async def _open_delivery(self) -> None:
        config, ledger = self.config.cloud, self.ledger
        self.spool = await Spool.open(self._state, ledger=ledger)
        self._closing.push_async_callback(self.spool.close)
        self._dead_letters = DeadLetters(self._state, ledger=ledger, clock=self._clock)
        self.pool = SenderPool(
            spool=self.spool,
            cloud=self._cloud,
            transport=self._transport,
            bucket=TokenBucket(config.requests_per_minute, config.concurrency),
            dead_letters=self._dead_letters,
            ledger=ledger,
            loss_log=self.loss_log,
            clock=self._clock,
            random=random.random,
            concurrency=config.concurrency,
        )

    async def _open_window(self) -> None:
        config = self.config
        self.namer.load_classes(await self.spool.state("classes") or b"")
        self.hotpath.merge(await self.spool.state("gauges") or b"", committed=0)
        self._partial = PartialFile(self._state) if self._state else None
        found = await asyncio.to_thread(self._partial.load, self.spool.committed) if self._partial else None
        self.closer = Closer(
            seconds=config.window.seconds,
            hotpath=self.hotpath,
            namer=self.namer,
            encode=make_encoder(config).encode_window,
            pack=pack_requests,
            spool=self.spool,
            ledger=self.ledger,
            clock=self._clock,
            on_closed=self._closed,
            resume=found.window if found else None,
        )
        if found:
            self.hotpath.merge(found.frames, committed=0)

    # --- changing while running ---------------------------------------------------------------------------------------

    async def replace_cloud(self, cloud: Cloud, transport: Transport | None = None) -> None:
        """Sign with other credentials, or send to another place, from the next request on."""
        if transport:
            self._closing.push_async_callback(transport.close)
        await self.pool.replace(cloud=cloud, transport=transport)

    def reconfigure(self, config: Config, *, cloud: Cloud | None, transport: Transport | None) -> None:
        """Work by another configuration from the edge of the next window on.

        It differs only in what may change there (config/changes.py). Cloud and transport: None leaves them as they are;
        the relay closes the transport in the end.
        """
        settings = ingest_settings(config)

        def begin() -> Rules:
            self.config = config
            self.namer = begin_window(config, settings, before=self.namer, hotpath=self.hotpath, notices=self.ledger)
            if cloud:
                self._group.create_task(self.replace_cloud(cloud, transport))
            return Rules(self.namer, make_encoder(config).encode_window)

        self.closer.at_edge(begin)

    async def _open_admin(self) -> AdminServer:
        """Import it only now: its libraries take half of a start, and the sockets are read meanwhile."""
        await asyncio.to_thread(import_module, "relay.admin.server")
        from relay.admin.server import AdminServer  # noqa: PLC0415 - see above

        admin = AdminServer(listen=self.config.admin.listen, state=self)
        self._closing.push_async_callback(admin.stop)
        await admin.start()
        return admin

    # --- running ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for an orderly stop; `run` returns when it is done."""
        self._stop.set()

    def hand_over(self) -> bool:
        """Ask for a stop that keeps the window open for the worker that comes next; it holds the sockets already.

        Returns:
            Whether that is possible: without a state directory the window would be lost.
        """
        if self._state is None:
            return False
        self._is_handing_over = True
        self._stop.set()
        return True

    async def run(self) -> Stopped:
        """Work until `stop`; an exception in any task ends the relay, loudly."""
        try:
            stopped = await self._work()
        finally:
            await self._closing.aclose()
        self._witness.stopped(stopped)
        return stopped

    async def _work(self) -> Stopped:
        async with asyncio.TaskGroup() as self._group:
            group = self._group
            senders = group.create_task(self.pool.run(), name="senders")
            closing = group.create_task(self.closer.run(), name="closer")
            probes = [group.create_task(self._probe_lag()), group.create_task(self.watch.run())]
            await self._stop.wait()
            if self._is_handing_over:
                await self.pool.finish(until=self._clock.monotonic() + limits.HAND_OVER_SECONDS)
            self.closer.stop()
            await closing
            self.ingest.stop()
            stopped = await (self._leave() if self._is_handing_over else self._drain())
            await senders
            for probe in probes:
                probe.cancel()
        return stopped

    # --- left to right ------------------------------------------------------------------------------------------------

    async def _drain(self) -> Stopped:
        """Settle the open window: on disk at once, then closed if it is the current minute's, then sent."""
        began = self._clock.monotonic()
        await self._keep_window()
        closed_early = await self.closer.close_early()
        if closed_early and self._partial:
            await asyncio.to_thread(self._partial.drop)
        await self.pool.drain(until=began + limits.STOP_SECONDS)
        if not self._state:
            await self._drop_what_nobody_keeps(closed_early=closed_early)
        return Stopped(closed_early=closed_early, seconds=self._clock.monotonic() - began, books=self.books())

    async def _leave(self) -> Stopped:
        """Settle the open window for the worker that comes next: on disk, and not closed."""
        began = self._clock.monotonic()
        await self._keep_window()
        seconds = self._clock.monotonic() - began
        return Stopped(closed_early=False, seconds=seconds, books=self.books(), is_handed_over=True)

    async def _keep_window(self) -> None:
        """Name what is new and write the open window to the state directory; it is on disk when this returns."""
        await self.closer.name_all()
        if self._partial:
            frames = b"".join(self.hotpath.export())
            await asyncio.to_thread(self._partial.save, self.closer.open_id, frames)

    async def _drop_what_nobody_keeps(self, *, closed_early: bool) -> None:
        """Without a state directory, what is left at stop is lost: say so in the books and in the log."""
        if not closed_early:
            await self.closer.discard()
        points = self.spool.points
        if points:
            self.spool.discard()
            self.ledger.points_dropped["stop_without_state"] += points
            self.loss_log.warn("points dropped", reason="stop_without_state", points=points)

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
        return float(self.config.cloud.requests_per_minute)

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

    def is_alive(self) -> bool:
        """Say whether the closer makes progress; that the loop does is shown by who asks."""
        return self._clock.monotonic() - self.closer.active_at < limits.CLOSER_SECONDS

    def healthy(self) -> tuple[bool, str]:
        """Liveness: the loop answers. The cloud being down never makes a relay unhealthy."""
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Readiness: listening, and not stopping."""
        if self._stop.is_set():
            return False, "stopping"
        return True, f"listening on {len(self.listeners)} sockets"

    def _closed(self, closed: Closed) -> None:
        tally, since_last = self.tally(), self._growth.since_last
        lines, rejected = since_last("received", tally.received), since_last("rejected", sum(tally.rejected.values()))
        self._witness.closed(closed, lines=lines, rejected=rejected)
        tell_of_window(self._growth, self.loss_log, tally, self.ledger, self.hotpath.rejects())

    async def _probe_lag(self) -> None:
        while True:
            began = self._clock.monotonic()
            await self._clock.sleep(LAG_PROBE)
            self.loop_lag = max(0.0, self._clock.monotonic() - began - LAG_PROBE)
