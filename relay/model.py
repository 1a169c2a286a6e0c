"""The values that travel between stages: immutable, no behaviour but algebra.

Stages never import each other; these types and small Protocols are all they share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Kind(StrEnum):
    """Class of a series. `ms`, `h` and `d` are all timers."""

    __hash__ = str.__hash__
    """Every series is hashed with its class; Enum's own hash is a Python call."""

    COUNTER = "counter"
    TIMER = "timer"
    GAUGE = "gauge"
    SET = "set"


class Identity(NamedTuple):
    """What a line says it is, as received: not the rate, container id or timestamp."""

    name: bytes
    """As received, inline tags included."""
    kind: Kind
    tags: bytes
    """The section after `|#`, without it; empty if there was none."""


class Newcomer(NamedTuple):
    """Who brought new identities, or some that found no room, since it was last asked."""

    peer: Peer | None
    identities: int
    work: int
    """Of naming them, see `limits.NAMING_WORK`."""
    name: bytes
    """The beginning of the newest one's name, and of its tags."""
    tags: bytes


class Series(NamedTuple):
    """What is sent: legal for putMetricData, and the key of aggregation."""

    metric: str
    """[0-9A-Za-z._], at most 255 bytes."""
    dimensions: tuple[tuple[str, str], ...]
    """1 to 5 pairs sorted by key, legal characters, at most 255 bytes in all."""
    kind: Kind
    derived: bool = False
    """The metric carries a class suffix that nobody sent (`x.gauge`); it yields to a received name."""
    namespace: str = ""
    """Legal, at most 255 bytes; "" is the one of [cloud]. The same metric in two namespaces is two series."""


class NoSeries(NamedTuple):
    """An identity that becomes no series, and why."""

    reason: str
    """A reason of rejected lines (empty_name, reserved_name) or of dropped samples (rule, no_legal_name)."""
    rejects: bool
    """True: its lines are rejected. False: they are accepted and their samples dropped."""


class Resolution(NamedTuple):
    """Answer of naming for one identity."""

    series: Series
    overflow: Series
    """The metric's overflow series: the metric, `host` and `overflow=true`."""


class Quantiles(Protocol):
    """Weighted distribution of a timer's samples."""

    def quantile(self, q: float) -> float:
        """Smallest value whose cumulative weight reaches q (0..1) of the total."""
        ...

    def ascending(self) -> tuple[list[float], list[float] | None]:
        """Values in ascending order, and the weight of each, or None while every sample is kept as it came."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """One series over one window. Weight of a sample is 1 / sample rate."""

    samples: int
    """Values received, unweighted: what the ledger counts. 0 for an idle gauge that repeats."""
    count: float
    """Sum of weights."""
    sum: float
    """Sum of value x weight; for a set: its cardinality."""
    min: float
    max: float
    last: float
    """By receive time; ties by the larger value."""
    quantiles: Quantiles | None = None
    """Timers only."""


Row: TypeAlias = tuple[Series, Rollup]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWindow:
    """[start, start + seconds), closed once. Rows may be iterated more than once, lazily; order is not defined."""

    start: int
    """Unix seconds, a multiple of `seconds`; also the id of the window."""
    seconds: int
    samples: int
    """Sum over the rows: the ledger moves them from open to closed when the window is stored."""
    series: Collection[Series]
    """Of the rows; cheaper than making these."""
    rows: Collection[Row]


class Point(NamedTuple):
    """One putMetricData point, encoded once."""

    body: bytes
    """A JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One request body, the same bytes for every attempt."""

    window: int
    points: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A point the cloud refuses for good."""

    index: int
    """Position in the batch."""
    detail: str
    """The cloud's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, as far as it was read."""

    status: int
    headers: Mapping[str, str]
    """Keys in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Every point is stored, except the listed ones."""

    request_id: str = ""
    refusals: tuple[Refusal, ...] = field(default=())
    unmatched: tuple[str, ...] = field(default=())
    """What the cloud says of listed points that are none of the request."""
    status: int | None = field(default=None, compare=False)
    """Of the answer; for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The whole request was refused without a list of points (400, or 413 with too_large)."""

    detail: str
    request_id: str = ""
    too_large: bool = False
    status: int | None = field(default=None, compare=False)
    """Of the answer; for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """429: everybody waits."""

    retry_after: float | None
    """Seconds, already clamped to 0.5..120; None if the answer said nothing usable."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Not stored, or not known to be: the same bytes go again."""

    detail: str
    ambiguous: bool
    """The request may have been stored."""
    unreadable: bool = False
    """An answer that leaves open what was stored; `detail` has the beginning of its body."""
    unmatched: tuple[str, ...] = field(default=())
    """As of Delivered."""
    status: int | None = None
    """Of the answer; None if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured:
    """401, 403, 404, 3xx, 405, other 4xx: a person must change something; nothing is thrown away."""

    status: int
    detail: str
    credentials: bool
    """401 or 403: read the credentials again."""


Verdict: TypeAlias = Delivered | Refused | Throttled | Unavailable | Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the hot path has counted since it was made; a line whose identity is not yet resolved is in no figure."""

    datagrams: int
    truncated_datagrams: int
    received: int
    accepted: int
    events: int
    rejected: Mapping[str, int]
    samples_accepted: int
    samples_open: int
    """In rollups of the open window (or one being closed whose ClosedWindow has not been handed out)."""
    samples_dropped: Mapping[str, int]
    samples_late: int
    samples_overflow: int
    samples_unnamed: int
    """Of them in the series of a class, because their name found no room or came too late."""
    sections_ignored: int
    tags_unread: int
    """Tags of new identities beyond those of a section that are read."""
    series: int
    aliases: int
    last_at: float = 0.0
    """Wall time of the last datagram; 0 before the first."""


class Peer(NamedTuple):
    """Sender of a datagram."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """One entry of the ring of bad lines."""

    line: bytes
    """Cut to 120 bytes."""
    reason: str
    peer: Peer | None
    time: float
