"""The bodies and answers of `/api/v1/dead-letters`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Reason = Literal[
    "", "refused_point", "refused_request", "unreadable_answer", "too_old", "ambiguous", "too_large"
]  # as delivery/dead_letters/format.py
Glob = Annotated[str, msgspec.Meta(max_length=255)]


class MetricLetters(msgspec.Struct, frozen=True, kw_only=True):
    """The letters of one metric."""

    metric: str
    letters: int


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One point that the cloud refused, or that could not be sent."""

    time: str
    reason: str
    metric: str
    window: str
    detail: str
    """The cloud's words, or the relay's."""
    request_id: str
    http: int | None
    """Status of the last answer."""
    attempts: int
    point: msgspec.Raw
    """As it was sent."""


class LettersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters that match."""

    letters: int
    bytes: int
    """Of all files."""
    limit_bytes: int
    damaged: int
    """Lines that cannot be read."""
    oldest: str | None
    """Window."""
    newest: str | None
    reasons: dict[str, int]
    metrics: list[MetricLetters]
    """Those with the most letters."""
    more_metrics: int
    last: list[Letter]
    """Newest first."""
    replaying: list[str]
    """Files that wait until the relay sends their points."""


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which letters are sent again."""

    reason: Reason = ""
    """Empty: every reason."""
    metric: Glob = ""
    """Empty: every metric."""
    dry_run: bool = False
    """Only count them."""


class DropRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which letters are deleted."""

    reason: Reason = ""
    metric: Glob = ""
    all: bool = False
    """Must be true without a reason and a metric: every letter is deleted, and every damaged line."""


class RedrivenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Letters that were, or would be, removed from the files."""

    letters: int
    duplicates: int
    """With the point of another letter; removed too."""
    too_old: int
    """Kept: the cloud would refuse them."""
    damaged: int
    reasons: dict[str, int]
    path: str
    """Name of the file from which they are sent."""
