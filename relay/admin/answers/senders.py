"""The answer of `GET /api/v1/senders`."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations

import msgspec


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected line, for people."""

    text: str
    """The line, or its part around the byte in error; unprintable bytes are escaped."""
    column: int | None
    """Where the caret belongs below `text`; null if there is no single place."""
    reason: str
    explanation: str
    at: datetime


class SenderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one address has sent since the relay began."""

    address: str
    """An IP address, or the Unix socket of the relay that received it."""
    listener: str
    """Label of the socket that received the newest packet, as in the metrics."""
    packets: int
    """Datagrams, or pieces of a stream."""
    lines: int
    rejected: int
    """Lines rejected as they came."""
    lines_per_second: float | None
    """Mean since an earlier look at this table; null if there was none in the last two minutes."""
    last_at: datetime | None
    """Time of the newest packet; null: none came."""
    bad: BadLine | None = None
    """The newest rejected line."""


class SendersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The senders of a running relay: the first ones of an order, and the sum of the rest."""

    senders: list[SenderAnswer]
    count: int
    """Senders that are counted separately."""
    active: int
    """Those of them that sent in the last minute."""
    limit: int
    """Largest possible `count`."""
    left_out: int
    """Senders counted separately that are not in this answer."""
    others: SenderAnswer
    """Sum over the addresses that are not counted separately."""
