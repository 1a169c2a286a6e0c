"""The senders of packets as people see them: the counts of the hot path with addresses, labels and rates.

The rate of a sender is a difference to an earlier look at the table, so it costs nothing while no person looks.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from relay import limits
from relay.admin.answers.senders import BadLine, SenderAnswer, SendersAnswer
from relay.hotpath.explain import explain, show
from relay.wording import as_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.admin.protocols import Relay
    from relay.clock import Clock
    from relay.hotpath.contract import HotPath
    from relay.model import RejectedLine, Sender

Order: TypeAlias = Literal["lines", "packets", "rejected", "recent"]

_ACTIVE: Final = 60.0
"""Seconds since the newest packet in which a sender counts as active."""
_NEAREST: Final = 1.0
_FARTHEST: Final = 120.0
"""Age in seconds of a look at the table to which rates may be computed."""
_APART: Final = 5.0
"""Seconds between the two looks that are stored."""

Counted: TypeAlias = "Mapping[tuple[str | None, int], int]"
"""Lines by address; a Unix socket is its listener."""


class SenderTable:
    """State: two earlier looks at the table, at least five seconds apart."""

    def __init__(self, hotpath: HotPath, labels: Sequence[str], *, clock: Clock) -> None:
        self._hotpath = hotpath
        self._labels = labels
        self._clock = clock
        self._looks: list[tuple[float, Counted]] = []

    @classmethod
    def of(cls, relay: Relay) -> SenderTable:
        """Return the table of a relay; its listeners stay the same as long as the process."""
        labels = [*(one.label for one in relay.listeners), *(one.label for one in relay.streams.listeners)]
        return cls(relay.hotpath, labels, clock=relay.context.clock)

    def answer(self, *, top: int, by: Order) -> SendersAnswer:
        """Return the first `top` senders of an order, most first.

        At most 8 ms for 1,024 senders, and 20 us for each of `top`.
        """
        found = self._hotpath.senders()
        wall, now = self._clock.wall(), self._clock.monotonic()
        since, before = self._look(now, {_key(one): one.lines for one in found.known} | {("", 0): found.others.lines})
        shown = heapq.nlargest(top, found.known, key=_ORDERS[by])
        seconds = now - since
        return SendersAnswer(
            senders=[self._describe(one, before.get(_key(one), 0), seconds) for one in shown],
            count=len(found.known),
            active=sum(wall - one.last_at <= _ACTIVE for one in found.known),
            limit=limits.SENDERS_MOST,
            left_out=len(found.known) - len(shown),
            others=self._describe(found.others, before.get(("", 0), 0), seconds, address="others"),
        )

    def _look(self, now: float, lines: Counted) -> tuple[float, Counted]:
        """Add a look; return an earlier one, to which rates are computed, or this one."""
        earlier = next((look for look in self._looks if _NEAREST <= now - look[0] <= _FARTHEST), (now, lines))
        if not self._looks or now - self._looks[-1][0] >= _APART:
            self._looks = [*self._looks[-1:], (now, lines)]
        return earlier

    def _describe(self, one: Sender, before: int, seconds: float, *, address: str = "") -> SenderAnswer:
        label = self._labels[one.listener] if one.listener < len(self._labels) else ""
        return SenderAnswer(
            address=address or one.host or label,
            listener=label if one.packets or one.rejected else "",
            packets=one.packets,
            lines=one.lines,
            rejected=one.rejected,
            lines_per_second=round(max(0, one.lines - before) / seconds, 3) if seconds else None,
            last_at=as_utc(one.last_at) if one.last_at else None,
            bad=describe_bad_line(one.bad) if one.bad else None,
        )


_ORDERS: Final = {
    "lines": lambda one: (one.lines, one.packets),
    "packets": lambda one: (one.packets, one.lines),
    "rejected": lambda one: (one.rejected, one.lines),
    "recent": lambda one: (one.last_at, one.lines),
}


def _key(one: Sender) -> tuple[str | None, int]:
    return one.host, 0 if one.host else one.listener


def describe_bad_line(line: RejectedLine) -> BadLine:
    """Return a rejected line with its explanation and the column of its error."""
    at, explanation = explain(line.line, line.reason)
    text, column = show(line.line, at or 0)
    return BadLine(
        text=text,
        column=None if at is None else column,
        reason=line.reason,
        explanation=explanation,
        at=as_utc(line.time),
    )
