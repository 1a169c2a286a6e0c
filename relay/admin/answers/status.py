"""The answer of `GET /api/v1/status`: what is wrong, and the figures of the data path in its order.

Clients without access get the codes and numbers alone: each field that may hold a name, an address, a setting or a word
of the cloud is empty then.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations

import msgspec

from relay.admin.answers.finding import Level, Overall  # noqa: TC001 - likewise


class StatusFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding, with its time as ISO 8601."""

    code: str
    level: Level
    since: datetime
    subject: str = ""
    sentence: str
    cloud: str = ""
    fix: str
    safe: str = ""
    next: str


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What comes in."""

    lines_per_second: float
    packets_per_second: float
    senders: int | None = None
    """Addresses that sent something lately; absent if they are not counted."""
    last_packet: datetime | None = None
    lost: int
    """Kernel drops, rejected lines, dropped samples and points since the last window closed, not those of rules."""


class LastWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The window that was stored last, and what became of its points."""

    start: datetime
    late_seconds: float
    lines: int
    accepted: int
    rejected: int
    lost: int
    series: int
    points: int
    requests: int
    delivered: int
    refused: int
    dropped: int
    waiting: int
    first_answer: datetime | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules do; `statsd-relay explain` has each."""

    count: int
    identities: int
    """Identities that a rule matched."""
    unmatched: int
    samples_dropped: int
    """Samples that rules dropped since the start."""
    top_dropping: str = ""
    """The pattern of the rule that dropped most, since the rules took effect; empty if none dropped anything."""
    top_dropped: int = 0
    """Samples that it dropped."""


class SeriesCount(msgspec.Struct, frozen=True, kw_only=True):
    """Series of the open window, and of the last one."""

    open: int
    last: int
    limit: int
    per_metric_limit: int
    fastest: str = ""
    """The metric with the most new series a minute; empty if none grows."""
    fastest_growth: int = 0
    """Its new series a minute."""


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud and the requests to it."""

    provider: str
    host: str
    verdict: str
    """Kind of the latest answer; empty before the first."""
    last_delivery: datetime | None = None
    requests_per_minute: int
    allowed_per_minute: float
    """What the quota lets through now."""
    throttled: int
    """Answers 429 since the start."""
    failed: int
    clock_skew_seconds: float | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be sent."""

    points: int
    bytes: int
    limit_bytes: int
    is_durable: bool
    oldest: datetime | None = None
    dead_letters: int


class BooksAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of the three equations."""

    received: int
    accepted: int
    events: int
    rejected: int
    samples_accepted: int
    samples_closed: int
    samples_open: int
    samples_dropped: int
    created: int
    recovered: int
    replayed: int
    delivered: int
    refused: int
    dropped: int
    waiting: int
    imbalance: int


class ConfigurationInForce(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force."""

    file: str
    """Empty without one."""
    is_file_in_force: bool
    generation: int | None = None
    since: datetime | None = None


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and the figures of the data path in its order."""

    version: str
    host: str
    pid: int
    time: datetime
    started: datetime
    window_seconds: int
    level: Overall
    findings: list[StatusFinding]
    """The worst first."""
    input: Input
    window: LastWindow | None = None
    """None before the first window closed."""
    closed_windows: int
    """Windows that closed since the start."""
    delivered_window: datetime | None = None
    """Start of the newest window up to which no point waits; None before the first such window."""
    rules: Rules
    series: SeriesCount
    cloud: Cloud
    waiting: Waiting
    books: BooksAnswer
    config: ConfigurationInForce
