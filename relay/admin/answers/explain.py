"""The body and the answer of `POST /api/v1/explain`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line as a client would send it."""

    line: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]


class ExplainStep(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the explanation."""

    label: str
    """Empty: it continues the step before."""
    text: str


class ExplainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay would do with a line that came now. The line is not counted and not sent."""

    line: str
    verdict: Literal["sent", "rejected", "dropped", "event"]
    reason: str
    """Why the line is rejected, or its samples are dropped."""
    why: str
    """The same in words, if it is rejected."""
    at: int | None
    """Offset of the byte at which parsing stopped."""
    steps: list[ExplainStep]
    """As `statsd-relay explain` prints them."""
    points: list[dict[str, Any]]
    """That would be sent if this were the only line of the window."""
