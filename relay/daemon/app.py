"""The composition root: the only module that knows the order of the stages.

The path of a datagram: `UdpListener` -> `HotPath` -> `Closer` -> `Namer` -> `PointEncoder` -> `pack` -> `Spool.store`
-> `SenderPool` -> cloud. Sockets are read first at a start. At a stop the stages end in the order of this path (sockets
here, the rest in lifecycle/shutdown.py), so that a stopped stage gets no more data.

A `Relay` is opened, run and closed once. It has no global state, so two of them can run in one process.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from relay.admin.history import History
from relay.admin.log_ring import LogRing
from relay.admin.routes import make_admin
from relay.admin.subscribers import WindowSubscribers
from relay.clock import LagProbe
from relay.context import Context
from relay.daemon.build import (
    admin_addresses,
    make_encoder,
    make_idle,
    make_namer,
    make_rules,
    open_ingest,
)
from relay.daemon.cardinality.overview import Cardinality
from relay.daemon.cardinality.watch import CardinalityWatch
from relay.daemon.cloud import make_cloud, make_transport
from relay.daemon.descriptors import divide_descriptors
from relay.daemon.egress import Egress
from relay.daemon.health.watch import Health
from relay.daemon.lifecycle.in_force import ConfigInForce
from relay.daemon.lifecycle.recovery import PartCounter, PendingCheckpoints, Recovery
from relay.daemon.lifecycle.shutdown import Shutdown
from relay.daemon.reports.findings import JUDGED, FindingLog
from relay.daemon.status import Status
from relay.daemon.windows.records import WindowRecorder
from relay.daemon.windows.reports import WindowReporter, WindowReports
from relay.daemon.windows.self_metrics import SelfMetrics
from relay.delivery.state.checkpoint import Checkpointer, CheckpointFiles
from relay.delivery.state.directory import encode_place
from relay.hotpath.factory import log_hotpath, make_hotpath
from relay.hotpath.partial import encode_head
from relay.ledger import Ledger
from relay.listener.admin_sockets import AdminSockets
from relay.listener.kernel_drops import KernelDropWatch
from relay.loss_log import LossLog
from relay.window.clock_watch import ClockWatch
from relay.window.closer import Closer
from relay.window.protocols import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from relay.admin.answers.explain import ExplainAnswer
    from relay.admin.http.server import AdminServer
    from relay.clock import Clock
    from relay.config.credentials import Credentials
    from relay.config.schema import Config
    from relay.daemon.ingest import Ingest, IngestSettings
    from relay.daemon.lifecycle.control import Control
    from relay.daemon.lifecycle.shutdown import ShutdownReport
    from relay.delivery.sender.pool import Transport
    from relay.hotpath.contract import HotPath
    from relay.jdcloud.cloud import JDCloud
    from relay.naming.ruleset import Ruleset

_HAND_OVER_SECONDS: Final = 2.0
"""How long a worker that hands over waits for the answers to its requests in flight."""


class Reporter(WindowReporter, Protocol):
    """Reports events, windows among them, to the terminal or to the log."""

    def started(self, relay: Relay) -> None:
        """Report that the relay is open: sockets are bound, and the state is restored."""

    def stopped(self, stopped: ShutdownReport) -> None:
        """Report the end of the relay."""


class Relay:
    """State: the configuration in force, the stages, and the counts as of the last closed window."""

    def __init__(  # noqa: PLR0913 - all that comes from outside: settings, transport, time, reports
        self,
        *,
        config: Config,
        credentials: Credentials | None,
        transport: Transport | None = None,
        state: Path | None,
        clock: Clock,
        reporter: Reporter,
        ingest: Ingest | None = None,
        admin: AdminSockets | None = None,
        is_successor: bool = False,
        in_force: ConfigInForce | None = None,
        main_pid: int = 0,
        deaths: Sequence[tuple[float, str]] = (),
        log_ring: LogRing | None = None,
    ) -> None:
        self.config = config
        self.in_force = in_force or ConfigInForce(since=clock.wall())
        self.control: Control | None = None
        """What the admin port may change; set once signals are handled."""
        self.main_pid = main_pid
        """Pid of the supervisor; 0 without one."""
        self.log_ring = log_ring or LogRing()
        self._cloud = self.use_credentials(config, credentials)
        self._transport = transport or make_transport(config.cloud)
        self.state = state
        self._reporter = reporter
        self._inherited = ingest
        self._is_successor = is_successor
        """Another worker used the state directory before; so a directory that is unusable now does not end a start."""
        self.deaths = deaths
        """Wall times and reasons of the latest ends of workers that were not asked for."""
        self.foreign_host = ""
        """The host of the state directory at the start, if it is another one."""
        self._admin_sockets = admin or AdminSockets(admin_addresses(config))
        self.context = Context(clock, Ledger(), LossLog(clock, judged=JUDGED))
        self.idle = make_idle(config)
        self.lag = LagProbe(clock)
        self._is_handing_over = False
        self._windows = WindowSubscribers(config.window.seconds)
        self._window_reports = self._make_window_reports()
        self._self_metrics = SelfMetrics(self, publish=self._windows.publish)
        self._stop = asyncio.Event()
        self._closing = AsyncExitStack()
        """Closes the opened parts in reverse order."""

    # --- opening ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Begin to read the sockets, then open and restore the state; naming begins with `run`.

        Raises:
            RelayError: a socket or the state directory cannot be used.
        """
        try:
            self.ingest = self._open_ingest()
            await self._open_delivery()
            self.status = Status(self)
            await self._open_window()
            self._history = History(self)
            self._kernel_drops = KernelDropWatch(self.listeners, self.context)
            self.clock_watch = ClockWatch(self.closer, self.context)
            self.cardinality_watch = CardinalityWatch(self.hotpath, self.context)
            self.health = Health(self)
            self._self_metrics.health = self.health
            FindingLog(self.health)
            self.admin = await self._open_admin()
        except BaseException:
            await self._closing.aclose()
            raise
        self._reporter.started(self)

    def _open_ingest(self) -> Ingest:
        """Use the given ingest, which receives already, or open sockets."""
        self.namer = make_namer(self.config, make_rules(self.config), ledger=self.context.ledger)
        ingest = self._inherited or open_ingest(self.config, self.context.clock)
        self._closing.callback(ingest.stop)
        self.hotpath, self.listeners, self.tees = ingest.hotpath, ingest.listeners, ingest.tees
        log_hotpath(self.config.listen.hotpath, self.hotpath.name)
        ingest.start()
        listen, senders = self.config.listen, self.config.cloud.concurrency
        wanted = listen.stream_connections if ingest.streams else 0
        self._places = divide_descriptors(wanted, senders=senders, loss_log=self.context.loss_log)
        self.streams = ingest.start_streams(listen, max_connections=self._places.streams, context=self.context)
        return ingest

    async def _open_delivery(self) -> None:
        self._egress = await Egress.open(
            self.config,
            cloud=self._cloud,
            transport=self._transport,
            state=self.state,
            place=encode_place(self._admin_sockets.addresses, self.in_force.path),
            is_successor=self._is_successor,
            context=self.context,
        )
        self._closing.push_async_callback(self._egress.close)
        self.spool, self.pool, self.requests = self._egress.spool, self._egress.pool, self._egress.history

    async def _open_window(self) -> None:
        config = self.config
        self.namer.load_classes(await self.spool.state("classes") or b"")
        files = CheckpointFiles(self.state, self._egress.directory) if self.state else None
        seconds, wall = config.window.seconds, self.context.clock.wall()
        pending = await PendingCheckpoints.find(files, self.spool, host=self.namer.host, wall=wall, seconds=seconds)
        self.spool.checkpointed.replace(pending.parts)
        self.foreign_host = pending.foreign_host
        self.checkpointer: Checkpointer | None = self._make_checkpointer(files) if files else None
        self._part_counter = PartCounter(files, self._make_side_hotpath)
        self._closing.callback(self._part_counter.close)
        self.closer = Closer(
            seconds=seconds,
            hotpath=self.hotpath,
            pipeline=Pipeline(self.namer, make_encoder(config, self.idle).encode_window),
            pack=self._self_metrics.pack,
            spool=self.spool,
            context=self.context,
            on_closed=WindowRecorder(self, self._window_reports).record,
            on_moved=self.checkpointer.move if self.checkpointer else None,
            resume=pending.resume,
            recorded=pending.recorded,
        )
        self.cardinality = Cardinality(self)
        if files and self.checkpointer:
            await self._restore(pending, files, self.checkpointer)

    def _make_checkpointer(self, files: CheckpointFiles) -> Checkpointer:
        checkpointer = Checkpointer(
            files,
            hotpath=self.hotpath,
            void=lambda: self.spool.committed,
            interval=self.config.window.checkpoint,
            context=self.context,
            head=lambda window, deleted: encode_head(window, host=self.namer.host, deleted=deleted),
            checkpointed=self.spool.checkpointed,
        )
        self._closing.push_async_callback(checkpointer.close)
        return checkpointer

    async def _restore(self, pending: PendingCheckpoints, files: CheckpointFiles, checkpointer: Checkpointer) -> None:
        recovery = Recovery(
            hotpath=self.hotpath,
            make_hotpath=self._make_side_hotpath,
            namer=self.namer,
            closer=self.closer,
            context=self.context,
            files=files,
            on_forgotten=checkpointer.record_deleted,
        )
        await recovery.restore(pending)

    def _make_side_hotpath(self) -> HotPath:
        """Make a hot path that receives nothing, to load a checkpoint into."""
        return make_hotpath(self.hotpath.name, **self.ingest.settings.hotpath)

    async def _open_admin(self) -> AdminServer | None:
        if not self.config.admin.addresses():
            return None
        admin = await make_admin(
            self,
            windows=self._windows,
            history=self._history,
            most=self._places.admin,
            sockets=self._admin_sockets,
        )
        self._closing.push_async_callback(admin.stop)
        self._closing.callback(self._windows.close)
        await admin.start()
        return admin

    def use_credentials(self, config: Config, credentials: Credentials | None) -> JDCloud:
        """Return the API side with other credentials, which are in force from now on."""
        self._keep_credentials(credentials)
        return make_cloud(config.cloud, credentials, on_renewed=self._keep_credentials)

    def _keep_credentials(self, credentials: Credentials | None) -> None:
        self.credentials: Credentials | None = credentials
        """Those in force; None: requests are not signed."""

    # --- changing while running ---------------------------------------------------------------------------------------

    def reconfigure(
        self,
        config: Config,
        settings: IngestSettings,
        *,
        rules: Ruleset,
        credentials: Credentials | None,
        transport: Transport,
    ) -> Pipeline:
        """Put another configuration in force for the window that has just begun; see lifecycle/reload.py.

        The hot path asks for every name again, because the tables were swapped. Name classes stay; existing gauges keep
        their old names.
        """
        before, self.config = self.config, config
        self.idle = make_idle(config, before=self.idle, since=before)
        namer = make_namer(config, rules, ledger=self.context.ledger)
        namer.adopt_classes(self.namer)
        self.namer = namer
        self.ingest.configure(settings)
        cloud = self.use_credentials(config, credentials)
        self._group.create_task(self._egress.reconfigure(before, config, cloud=cloud, transport=transport))
        return Pipeline(self.namer, make_encoder(config, self.idle).encode_window)

    def explain(self, line: bytes) -> ExplainAnswer:
        """Return what would become of a line that came now. Blocks for the regexes of the rules."""
        from relay.daemon.explain.text import answer  # noqa: PLC0415 - a start does not need it

        return answer(self.config, line, self.context.clock.wall())

    # --- running ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for an orderly stop; `run` returns when it is done. It overrides a hand-over that is under way."""
        self._is_handing_over = False
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        """Whether a stop or a hand-over was requested."""
        return self._stop.is_set()

    @property
    def hand_over_obstacle(self) -> str:
        """The reason why the window cannot be handed over without loss; "" if it can."""
        if self.state is None:
            return "there is no state directory"
        return "writes to the disk fail: windows that are only in memory would be lost" if self.status.degraded else ""

    def hand_over(self) -> bool:
        """Ask for a stop that keeps the window open for the next worker; the sockets stay open for it.

        Returns:
            Whether that is possible; see `hand_over_obstacle`.
        """
        if self.hand_over_obstacle:
            return False
        self.stop()
        self._is_handing_over = True
        return True

    async def run(self) -> ShutdownReport:
        """Work until `stop` or `hand_over`; raise the exception of any task."""
        try:
            stopped = await self._work()
        finally:
            await self._closing.aclose()
        self._window_reports.report_all()
        self._reporter.stopped(stopped)
        return stopped

    async def _work(self) -> ShutdownReport:
        async with asyncio.TaskGroup() as self._group:
            group = self._group
            stopping = group.create_task(self._stop.wait())
            saving = group.create_task(self._save_first())
            await asyncio.wait((saving, stopping), return_when=asyncio.FIRST_COMPLETED)
            saving.cancel()
            closing = [group.create_task(run()) for run in (self.closer.run, self.closer.run_storing)]
            probes = [group.create_task(run()) for run in self._background()]
            senders = group.create_task(self.pool.run(), name="senders")
            await stopping
            asked_at, hands_over = self.context.clock.monotonic(), self._is_handing_over
            if hands_over:
                await self.pool.finish(until=self.context.clock.monotonic() + _HAND_OVER_SECONDS)
            self.context.loss_log.judged = ()  # the judge does not see what a stop loses
            self.closer.stop()
            await asyncio.gather(*closing)
            self.ingest.stop()
            shutdown = self._make_shutdown()
            stopped = await (shutdown.hand_over() if hands_over else shutdown.drain(asked_at))
            await senders
            for probe in probes:
                probe.cancel()
        return replace(stopped, is_handed_over=self._is_handing_over)

    async def _save_first(self) -> None:
        """Put on disk what this process has read since it began, for at most `STALL` seconds.

        A close or a batch that ends a worker ends the next ones too. Each would lose what it read during its start.
        """
        if self.checkpointer:
            await self.closer.name_waiting()
            await self.checkpointer.try_save()

    def _make_window_reports(self) -> WindowReports:
        return WindowReports(
            self._reporter,
            self.context,
            spread=lambda: self.config.cloud.spread_seconds(self.config.window.seconds),
            has_problem=lambda: self.health.level == "problem",
        )

    def _make_shutdown(self) -> Shutdown:
        return Shutdown(
            closer=self.closer,
            checkpointer=self.checkpointer,
            count_part=self._part_counter.count,
            spool=self.spool,
            pool=self.pool,
            clock=self.context.clock,
            books=self.status.books,
            seconds=self.config.window.seconds,
        )

    def _background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the tasks that run beside the data path until they are cancelled."""
        tasks = [self.lag.run, self.clock_watch.run, self._kernel_drops.run, self.cardinality_watch.run]
        tasks += [self.health.surroundings.run, self.health.run]
        tasks += [self._history.run] if self.admin else []
        tasks.append(self._window_reports.run)
        tasks += self.ingest.background(self.context.loss_log)
        if checkpointer := self.checkpointer:
            tasks += [lambda: checkpointer.run(self.closer.name_waiting), checkpointer.run_removals]
        return [*tasks, *self._egress.background()]
