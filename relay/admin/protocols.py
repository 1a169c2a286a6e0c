"""The running relay as the admin port reads it: its stages, and its status. daemon/app.py provides both.

The admin port owns nothing and stores no figure: it reads each one from the stage that counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from relay.admin.answers.config import ReloadAnswer
    from relay.admin.answers.explain import ExplainAnswer
    from relay.admin.answers.finding import Finding, Level, Overall
    from relay.admin.answers.rules import RuleFigures
    from relay.admin.answers.series import NameAnswer, SeriesAnswer, TagsAnswer
    from relay.admin.answers.status import StatusAnswer
    from relay.admin.log_ring import LogRing
    from relay.clock import LagProbe
    from relay.config.credentials import Credentials
    from relay.config.schema import Config
    from relay.context import Context
    from relay.delivery.request_history import RequestHistory
    from relay.delivery.sender.pool import SenderPool
    from relay.delivery.spool.spool import Spool
    from relay.delivery.state.checkpoint import Checkpointer
    from relay.hotpath.contract import HotPath
    from relay.ledger import Books
    from relay.listener.stream import Streams
    from relay.listener.udp import UdpListener
    from relay.model import Series
    from relay.naming import Namer
    from relay.tee.tees import Tees
    from relay.window.closer import Closer
    from relay.window.idle import IdleSeries


class Status(Protocol):
    """What no single stage knows."""

    is_health_down: bool
    """The reply of the console's `health`; the health of the relay does not depend on it."""
    is_last_reload_successful: bool
    """Whether the configuration on disk is the one in force."""

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        ...

    @property
    def started(self) -> float:
        """Wall time of the start."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses or is too slow."""
        ...

    @property
    def delivery_lag(self) -> float:
        """Seconds since the start of the oldest unsettled window; if there is none, the lag of the last delivery."""
        ...

    def books(self) -> Books:
        """Return the three equations of the ledger at this moment (I5)."""
        ...

    def healthy(self) -> tuple[bool, str]:
        """Return liveness, and one sentence about it."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Return readiness, and one sentence about it."""
        ...

    def delete(self, series: Collection[Series]) -> None:
        """Delete series everywhere."""


class Cardinality(Protocol):
    """How many series there are, and of what; daemon/cardinality/ implements it."""

    async def table(self, *, glob: str, by: str, top: int) -> SeriesAnswer:
        """Return the `top` metrics that match a glob (empty: all), most first."""
        ...

    async def describe(self, name: str) -> NameAnswer:
        """Return what is known of a name, as received or as sent."""
        ...

    def rules(self) -> Mapping[int, RuleFigures]:
        """Return what the rules took, by number from 1."""
        ...

    async def tags(self, *, top: int) -> TagsAnswer:
        """Return the tags with the most values."""
        ...


class Control(Protocol):
    """What changes the relay from outside."""

    @property
    def refusals(self) -> int:
        """Replacements of this worker that were refused."""
        ...

    @property
    def refused(self) -> str:
        """Why the last one was; empty without one."""
        ...

    async def reload(self) -> ReloadAnswer:
        """Load the configuration; raise RelayError if it is refused."""
        ...

    def upgrade(self) -> ReloadAnswer:
        """Ask for a worker of the installed program."""
        ...


class ConfigInForce(Protocol):
    """The source of the configuration in force."""

    @property
    def path(self) -> Path | None:
        """The file; None without one."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the content of the file; "" without one."""
        ...

    @property
    def origins(self) -> Mapping[str, str]:
        """`table.key` -> where its value comes from."""
        ...

    @property
    def generation(self) -> int:
        """1 at the first start, and one more for each applied reload."""
        ...

    @property
    def since(self) -> float:
        """Wall time at which it was accepted."""
        ...


class Health(Protocol):
    """What is wrong with the relay; daemon/health/ decides it."""

    @property
    def level(self) -> Overall:
        """The level of the worst finding; "ok" without any."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        ...

    def states(self) -> Mapping[tuple[str, Level], bool]:
        """Return for each code, and each level that it can have, whether there is such a finding."""
        ...

    def status(self) -> StatusAnswer:
        """Return the findings, and the figures beside them, as of the last judgement."""
        ...


class Relay(Protocol):
    """The stages. A reload replaces `config`, `namer` and `idle`, so they are read anew for each request."""

    config: Config
    context: Context
    hotpath: HotPath
    listeners: list[UdpListener]
    streams: Streams
    tees: Tees
    namer: Namer
    idle: IdleSeries
    closer: Closer
    checkpointer: Checkpointer | None
    spool: Spool
    pool: SenderPool
    requests: RequestHistory
    lag: LagProbe
    state: Path | None
    """The state directory; None: memory only."""
    credentials: Credentials | None
    main_pid: int
    """Pid of the supervisor; 0 without one."""
    log_ring: LogRing

    @property
    def control(self) -> Control | None:
        """What changes the relay from outside; None while it starts."""
        ...

    def explain(self, line: bytes) -> ExplainAnswer:
        """Return what would become of a line that came now. Blocks: a thread calls it."""
        ...

    @property
    def is_stopping(self) -> bool:
        """Whether a stop or a hand-over was requested."""
        ...

    @property
    def in_force(self) -> ConfigInForce:
        """The source of the configuration in force."""
        ...

    @property
    def cardinality(self) -> Cardinality:
        """How many series there are, and of what."""
        ...

    @property
    def health(self) -> Health:
        """What is wrong, and what to do."""
        ...

    @property
    def status(self) -> Status:
        """Health, readiness and the books."""
        ...
