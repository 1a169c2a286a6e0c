"""What the judge knows: one frozen value, taken in one step. The defaults are those of a relay that is well."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def grown(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each counter of a family grew; those that did not are left out."""
    return {key: more for key, value in now.items() if (more := value - before.get(key, 0))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters since the start; or, as a difference of two of them, what one period added."""

    packets: int = 0
    """Datagrams, and chunks of streams."""
    lines: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
    kernel_drops: Mapping[str, int] = field(default_factory=dict)
    """By listener."""
    samples_dropped: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
    samples_overflow: int = 0
    points_dropped: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
    points_refused: int = 0
    throttled: int = 0
    """Answers 429."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """Requests that are sent again, by cause."""
    connections_closed: Mapping[str, int] = field(default_factory=dict)
    """Stream connections: evicted, idle, refused."""
    tee_dropped: Mapping[str, int] = field(default_factory=dict)
    """Copies lost, by target."""
    letters_dropped: int = 0
    names_rewritten: int = 0
    tags_dropped: int = 0
    values_clamped: int = 0

    def __sub__(self, before: Counts) -> Counts:
        """Return what was added since `before`."""
        changes: dict[str, Any] = {}
        for one in fields(self):
            now, then = getattr(self, one.name), getattr(before, one.name)
            changes[one.name] = now - then if isinstance(now, int) else grown(now, then)
        return Counts(**changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A closed window: what it held, and what became of its points."""

    start: int
    late: float = 0.0
    """Seconds from its end until it was stored."""
    lines: int = 0
    rejected: int = 0
    lost: int = 0
    """Kernel drops, rejected lines, dropped samples and points since the window before; not what a rule dropped."""
    series: int = 0
    points: int = 0
    requests: int = 0
    delivered: int = 0
    refused: int = 0
    waiting: int = 0
    first_answer_at: float = 0.0
    """Wall time; 0: none so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The latest point that the cloud refused."""

    metric: str = ""
    words: str = ""
    fix: str = ""
    """What to do, if the words are known; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The cloud, its latest answer, and the senders."""

    provider: str = "jdcloud"
    host: str = "the cloud"
    """Host of the endpoint; for other providers the name of the target."""
    endpoint: str = ""
    proxy: str = ""
    region: str = ""
    key: str = ""
    """Masked id of the access key: JDC_..4F2A."""
    key_place: str = ""
    """The file, variable or profile that the key comes from."""
    key_reload: str = ""
    """When a replaced key is read: `it is read every 5 s`."""
    verdict: str = ""
    """Kind of the latest answer, a word of delivery/sender/last_answer.py; "" before the first."""
    since: float = 0.0
    """Wall time of the first of the latest answers with this verdict."""
    status: int = 0
    """HTTP status of the latest answer; 0: no answer."""
    words: str = ""
    """The cloud's words, or the system's about a request without an answer."""
    cause: str = ""
    """Why the latest request failed, a word of errors.FAILED_REQUESTS."""
    is_down: bool = False
    """Whether the breaker is open: only probes are sent."""
    is_stopped: bool = False
    """Whether all is kept since the cloud refuses every point."""
    accepted_at: float = 0.0
    """Wall time of the latest answer that accepted a request; 0: none so far."""
    paused: float = 0.0
    """Seconds for which a 429 pauses the senders."""
    per_minute: float = 0.0
    """Requests a minute that may be sent now."""
    quota: int = 900
    """[cloud] requests_per_minute."""
    clock_skew: float = 0.0
    """Seconds that this clock is ahead of the cloud's."""
    is_skew_known: bool = False
    refusal: Refusal = Refusal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What waits, and where."""

    points: int = 0
    """Points that wait, those in flight too."""
    bytes: int = 0
    """Compressed size of what waits."""
    limit: int = 1024**3
    """Bytes at which the oldest windows are dropped."""
    oldest: int | None = None
    """Id of the oldest window that waits."""
    path: str = ""
    """The state directory; empty: memory only."""
    trouble: str = ""
    """Why the disk refuses; empty: it works."""
    letters: int = 0
    """Dead letters."""
    letters_limit: int = 64 * 1024**2
    foreign_host: str = ""
    """Host of a state directory that was found at the start and is another one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A socket that receives datagrams."""

    name: str
    granted: int = 0
    """Bytes of the receive buffer."""
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """The latest rejected line of a reason."""

    reason: str
    line: str
    at: int | None
    """Offset of the byte that breaks the grammar; None: no single byte does."""
    why: str
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explosion:
    """The metric that has too many series, and the tag that makes them."""

    metric: str = ""
    tag: str = ""
    values: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitAhead:
    """A limit on series that is reached soon if the growth goes on."""

    metric: str
    """Empty: the limit of all series."""
    series: int
    limit: int
    per_minute: float
    seconds: float
    """Until the limit is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What comes in."""

    addresses: tuple[str, ...] = ()
    sockets: tuple[Socket, ...] = ()
    last_packet_at: float = 0.0
    """Wall time; 0: none since the start."""
    closed_ports: int = 0
    """Datagrams since the start that came for ports of this machine which no process has open."""
    bad_lines: tuple[BadLine, ...] = ()
    tees: Mapping[str, str] = field(default_factory=dict)
    """Trouble of each target of a tee that has any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """Series of the open window, and what makes them many."""

    count: int = 0
    limit: int = 50_000
    per_metric: int = 10_000
    explosion: Explosion = Explosion()
    ahead: tuple[LimitAhead, ...] = ()
    """Limits that are reached within an hour at the growth of three windows."""
    fastest: str = ""
    """The metric with the most new series a minute."""
    fastest_growth: float = 0.0
    rewritten: Mapping[str, str] = field(default_factory=dict)
    """Fields of one example: metric, received, sent_as."""
    unsent: Mapping[str, str] = field(default_factory=dict)
    clamped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a worker that was not asked for."""

    at: float
    """Wall time."""
    reason: str
    """`killed by SIGKILL`, `exit code 70`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something that is not right since the start, or since the last reload."""

    code: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process, its configuration and its clock."""

    imbalances: tuple[int, int] = (0, 0)
    """Imbalance of the books one second ago, and now."""
    opens_in: float = 0.0
    """Seconds until the open window begins, if it lies in the future."""
    slow_at: tuple[float, ...] = ()
    """Wall times of the latest probes that found the event loop over 1 s late."""
    top_sender: str = ""
    """The sender of most new names; empty: not known."""
    deaths: tuple[Death, ...] = ()
    memory_limit: int = 0
    """Bytes that this process may use; 0: no limit is known."""
    reload_error: str = ""
    """Why the configuration on disk is not in force; empty: it is."""
    file: str = ""
    """The configuration file; empty: none."""
    stepped_at: float = 0.0
    """Wall time after the latest step of the clock; 0: none."""
    step: float = 0.0
    """Seconds by which it stepped."""
    is_health_down: bool = False
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the judge knows of a relay at one moment."""

    now: float
    """Wall time."""
    started: float
    seconds: int = 60
    """Length of a window."""
    open_start: int = 0
    """Id of the open window."""
    windows: tuple[Window, ...] = ()
    """The newest 60 windows, oldest first."""
    counts: Counts = Counts()
    """Since the start."""
    open: Counts = Counts()
    """Since the last window closed."""
    periods: tuple[Counts, ...] = ()
    """What each of the last ten windows added, newest first."""
    waiting: tuple[int, ...] = ()
    """Points that waited when each of the last windows closed, newest first."""
    delivery: Delivery = Delivery()
    storage: Storage = Storage()
    intake: Intake = Intake()
    series: SeriesFacts = SeriesFacts()
    process: Process = Process()

    @property
    def latest(self) -> tuple[Counts, ...]:
        """What the open window and the last one added."""
        return self.recent[:2]

    @property
    def recent(self) -> tuple[Counts, ...]:
        """What the open window and the last ten added, newest first."""
        return self.open, *self.periods
