"""The status of a running relay, for the admin port and the console.

Read-only but for `forget`, which deletes series everywhere for the admin port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay import limits
from relay.ledger import balance
from relay.naming.dimensions import of_nobody

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relay.clock import Clock, LagProbe
    from relay.config.schema import Config
    from relay.daemon.ingest import Ingest
    from relay.delivery.sender.pool import SenderPool
    from relay.delivery.spool.spool import Spool
    from relay.delivery.state.checkpoint import Checkpointer
    from relay.hotpath.contract import HotPath
    from relay.ledger import Books, Ledger
    from relay.listener.stream import Streams
    from relay.listener.udp import UdpListener
    from relay.model import Series, Tally
    from relay.naming import Namer
    from relay.tee.tees import Tees
    from relay.window.closer import Closer
    from relay.window.idle import IdleSeries


@dataclass(slots=True, kw_only=True)
class Status:
    """State: the parts, each of which keeps its own counts; flags of the stop, the last reload and the health."""

    config: Config
    clock: Clock
    ledger: Ledger
    ingest: Ingest
    streams: Streams
    spool: Spool
    pool: SenderPool
    closer: Closer
    namer: Namer
    idle: IdleSeries
    checkpointer: Checkpointer | None
    lag: LagProbe
    is_stopping: bool = False
    is_last_reload_successful: bool = True
    """Whether the configuration on disk is the one in force."""
    is_health_down: bool = False
    """The answer of the console's `health`, set by its `health` command; nothing else depends on it."""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        """Note the time of the start."""
        self._began = self.clock.monotonic()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self.clock.monotonic() - self._began

    @property
    def hotpath(self) -> HotPath:
        """The hot path."""
        return self.ingest.hotpath

    @property
    def default_dimensions(self) -> frozenset[tuple[str, str]]:
        """The dimensions that a series may have without a tag of its line."""
        return of_nobody(self.config.tags)

    @property
    def hotpath_name(self) -> str:
        """Name of the hot path's implementation."""
        return self.ingest.hotpath.name

    @property
    def series_limit(self) -> int:
        """Limit of series in the open window."""
        return self.config.limits.series

    @property
    def rule_hits(self) -> Sequence[int]:
        """Number of identities that matched each rule since the rules are in force."""
        return self.namer.hits

    @property
    def rate_limit(self) -> float:
        """Requests a minute that may leave now."""
        return self.pool.per_minute

    @property
    def checkpoint_interval(self) -> float:
        """Seconds between two checkpoints of the open window; 0 without a state directory."""
        return self.checkpointer.interval if self.checkpointer else 0.0

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses or is too slow, for the checkpoint or for the spool."""
        return self.spool.degraded or (self.checkpointer is not None and self.checkpointer.refused)

    @property
    def loop_lag(self) -> float:
        """Seconds by which the event loop was late at the last probe."""
        return self.lag.seconds

    @property
    def requests_in_flight(self) -> int:
        """Requests awaiting an answer."""
        return self.pool.requests_in_flight

    @property
    def listeners(self) -> Sequence[UdpListener]:
        """Datagram sockets."""
        return self.ingest.listeners

    @property
    def leases(self) -> Tees:
        """The tees; commands add temporary ones and keep them up."""
        return self.ingest.tees

    @property
    def open_window(self) -> int:
        """Id of the open window."""
        return self.closer.open_id

    @property
    def windows_closing(self) -> int:
        """Number of windows that ended and are not stored yet."""
        return self.closer.closing

    @property
    def window_opens_in(self) -> float:
        """Seconds until the open window begins, if its id is ahead of the clock; else 0."""
        return self.closer.opens_in()

    @property
    def tees(self) -> Sequence[tuple[int, int]]:
        """Copies (sent, dropped) by tee, in the order of the configuration."""
        return self.ingest.tees.counts()

    def wall(self) -> float:
        """Return the wall time in seconds."""
        return self.clock.wall()

    def tally(self) -> Tally:
        """Return the counts of the hot path."""
        return self.ingest.hotpath.tally()

    def books(self) -> Books:
        """Return the three equations of the ledger at this moment (I5)."""
        return balance(self.tally(), self.ledger, spooled=self.spool.points, in_flight=self.pool.in_flight)

    def is_alive(self) -> bool:
        """Return whether the closer makes progress; the caller runs on the loop, so the loop does."""
        return self.clock.monotonic() - self.closer.active_at < limits.CLOSER_SECONDS

    def healthy(self) -> tuple[bool, str]:
        """Return the liveness, which is always true: the loop answers. An outage of the cloud does not change it."""
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Return the readiness, with a reason: the relay listens, is not stopping, and its open window has begun."""
        if self.is_stopping:
            return False, "stopping"
        if self.window_opens_in:
            return False, f"nothing is sent: the window opens in {self.window_opens_in:.0f} s (RLY124)"
        sockets = len(self.listeners) + len(self.streams.listeners)
        return True, f"listening on {sockets} socket{'' if sockets == 1 else 's'}"

    def forget(self, series: Collection[Series]) -> None:
        """Delete series everywhere: in the open window, its checkpoint, the bases of gauges, and the idle series."""
        found = self.ingest.hotpath.forget(series)
        if found and self.checkpointer:
            self.checkpointer.forget(self.closer.open_id, found)
        self.idle.forget(series)
