"""The events of the stream `GET /api/v1/tap`; `event` names the type of each."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import Literal, TypeAlias

import msgspec

from relay.model import Kind  # noqa: TC001 - msgspec reads the annotations


class TapStart(msgspec.Struct, frozen=True, kw_only=True, tag="start", tag_field="event"):
    """The first event."""

    at: datetime
    host: str
    of: Literal["all", "rejected", "dropped", "sent"]
    glob: str
    rate: int


class TapLine(msgspec.Struct, frozen=True, kw_only=True, tag="line", tag_field="event"):
    """A line that came, and what became of it."""

    at: datetime
    """Receive time."""
    sender: str
    """An address, or the Unix socket of the relay."""
    line: str
    """Bytes that are no UTF-8 are escaped. At most 4,096 bytes of the line."""
    verdict: Literal["accepted", "rejected", "dropped", "event"]
    """event: a DogStatsD event or service check, which makes no metric."""
    type: Kind | None = None
    metric: str = ""
    """As sent."""
    namespace: str = ""
    dimensions: dict[str, str] = {}
    code: str = ""
    """RLY310: the series is in overflow."""
    reason: str = ""
    """Why it was rejected or dropped."""
    explanation: str = ""
    column: int | None = None
    """Of the byte of `line` at which parsing stopped."""
    rule: int = 0
    """Number of the rule that matched; 0: none."""
    pattern: str = ""
    """What that rule matches."""


class TapPoint(msgspec.Struct, frozen=True, kw_only=True, tag="sent", tag_field="event"):
    """A point that was sent, and the answer of the cloud."""

    at: datetime
    """Time of the answer."""
    window: datetime
    """Start of its window."""
    metric: str
    namespace: str
    dimensions: dict[str, str]
    values: dict[str, float]
    outcome: Literal["accepted", "refused", "dropped"]
    request_id: str
    detail: str
    """The cloud's words, or the relay's, if it was not accepted."""


class TapNothing(msgspec.Struct, frozen=True, kw_only=True, tag="nothing", tag_field="event"):
    """Nothing has matched for ten seconds."""

    received: int
    """Lines that came (of `sent`: points with an answer)."""
    near: list[str]
    """Names that came and are similar to the one that is asked for."""


class TapTotals(msgspec.Struct, frozen=True, kw_only=True, tag="totals", tag_field="event"):
    """Sent once a second, and at the end. matched == shown + hidden + lost, but for what waits to be written."""

    is_last: bool = False
    """The stream ends with this event."""
    seconds: float
    received: int
    matched: int
    shown: int
    hidden: int
    """Not shown, because of the rate."""
    lost: int
    """Lost by the tap, because its reader was slow."""
    unjudged: int
    """Of `dropped`: lines of new names, beyond the rate, of which is not known whether they match."""


TapEvent: TypeAlias = TapStart | TapLine | TapPoint | TapNothing | TapTotals
