"""The values passed between stages: immutable, without behaviour but algebra.

Stages never import each other; these types and small Protocols are all they share. This module does not know how a
value is made or what happens to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeAlias

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
    """Name, type and tags of a line as received, without rate, container id and timestamp."""

    name: bytes
    """As received, with inline tags."""
    kind: Kind
    tags: bytes
    """The section after `|#`, without these two bytes; empty if the line has no tags."""


class Sender(NamedTuple):
    """What came from one address since the first packet of it that the hot path remembers."""

    host: str | None
    """Without scope; None: a Unix socket, see `listener`."""
    listener: int
    """Number of the socket that received the newest packet."""
    packets: int
    """Datagrams, or pieces of a stream."""
    lines: int
    rejected: int
    """Lines rejected as they came; one rejected by naming counts only after its name is known."""
    last_at: float
    """Wall time of the newest packet."""
    bad: RejectedLine | None
    """The newest rejected line."""


class Senders(NamedTuple):
    """Every packet and line, by sender."""

    known: list[Sender]
    """At most `limits.SENDERS_MOST`, in no defined order."""
    others: Sender
    """The sum of all that came from other addresses."""


class TopSender(NamedTuple):
    """A sender of new identities, queued or without room in the queue, since the last call that returned it."""

    peer: Peer | None
    identities: int
    work: int
    """Work of naming these identities, see `limits.NAMING_WORK`."""
    name: bytes
    """The newest identity as an example: the beginning of its name, and of its tags."""
    tags: bytes


class Series(NamedTuple):
    """The key of aggregation, in the form in which it is sent: legal for putMetricData."""

    metric: str
    """[0-9A-Za-z._], at most 255 bytes."""
    dimensions: tuple[tuple[str, str], ...]
    """1 to 5 pairs sorted by key, legal characters, at most 255 bytes in all."""
    kind: Kind
    derived: bool = False
    """The metric ends in a class suffix that naming added (`x.gauge`); it yields to an equal received name."""
    namespace: str = ""
    """Legal, at most 255 bytes; "": the namespace of [cloud]. The same metric in two namespaces is two series."""


class Metric(NamedTuple):
    """What the series of a name have in common: all but their dimensions."""

    name: str
    kind: Kind
    namespace: str = ""
    """As in a series; "": the namespace of [cloud]."""


class NoSeries(NamedTuple):
    """Answer of naming for an identity that becomes no series: the reason."""

    reason: str
    """A reason of rejected lines (empty_name, reserved_name) or of dropped samples (rule, no_legal_name)."""
    rejects: bool
    """True: its lines are rejected. False: they are accepted and their samples dropped."""
    rule: int = 0
    """Number of the rule that drops it, from 1; 0: no rule does."""


class Resolution(NamedTuple):
    """Answer of naming for an identity that becomes a series."""

    series: Series
    overflow: Series
    """The metric's overflow series: the metric, `host` and `overflow=true`."""


class Quantiles(Protocol):
    """Weighted distribution of a timer's samples."""

    def quantile(self, q: float) -> float:
        """Return the smallest value at which the cumulative weight reaches q (0..1) of the total."""
        ...

    def ascending(self) -> tuple[list[float], list[float] | None]:
        """Return the values in ascending order, and the weight of each; no weights while samples are verbatim."""
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
    """The window [start, start + seconds), closed once. Rows are made lazily at each iteration, in no defined order."""

    start: int
    """Unix seconds, a multiple of `seconds`; also the id of the window."""
    seconds: int
    samples: int
    """Sum over the rows: the ledger moves them from open to closed when the window is stored."""
    series: Collection[Series]
    """The series of the rows; cheaper than iterating over the rows."""
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
    """An HTTP answer; its body may be cut to the length that was read."""

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
    """The cloud's words about listed points that match no point of the request."""
    status: int | None = field(default=None, compare=False)
    """HTTP status, for display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The whole request was refused without a list of points (400, or 413 with too_large)."""

    detail: str
    request_id: str = ""
    too_large: bool = False
    status: int | None = field(default=None, compare=False)
    """HTTP status, for display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """The cloud answered 429: every sender waits."""

    retry_after: float | None
    """Seconds, already clamped to 0.5..120; None if the answer has no usable Retry-After."""
    detail: str = ""
    status: ClassVar[int] = 429
    """HTTP status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The request was not stored, or that is unknown: the same bytes are sent again."""

    detail: str
    cause: str
    """One of errors.FAILED_REQUESTS."""
    ambiguous: bool
    """The request may have been stored."""
    unreadable: bool = False
    """The answer does not say which points were stored; `detail` has the beginning of its body."""
    unmatched: tuple[str, ...] = field(default=())
    """See Delivered."""
    status: int | None = None
    """HTTP status; None without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured:
    """401, 403, 404, 3xx, 405 or another 4xx: a person must change something. The batch is kept."""

    status: int
    detail: str
    credentials: bool
    """401 or 403: read the credentials again."""


Verdict: TypeAlias = Delivered | Refused | Throttled | Unavailable | Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of a hot path since it was made. A line is counted once its identity is resolved."""

    datagrams: int
    truncated_datagrams: int
    received: int
    accepted: int
    events: int
    rejected: Mapping[str, int]
    samples_accepted: int
    samples_open: int
    """Samples in rollups of the open window, and of one being closed until its ClosedWindow is returned."""
    samples_dropped: Mapping[str, int]
    samples_late: int
    samples_overflow: int
    samples_unnamed: int
    """Samples in the overflow series of a class: their name found no room in the queue, or was resolved too late."""
    sections_ignored: int
    tags_unread: int
    """Tags of new identities beyond the limits of what is read of a section."""
    series: int
    aliases: int
    senders: int = 0
    """Senders that are counted separately."""
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
