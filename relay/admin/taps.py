"""Taps: what a person who watches gets, of the lines as they come, or of the points as they are sent.

Bounded (I6): four taps at a time, for each 1,000 lines or points that wait for the reader. Does not know HTTP.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from relay import limits
from relay.admin.answers.tap import TapLine, TapPoint
from relay.admin.line_verdict import LineVerdict
from relay.delivery.request_history import read_points
from relay.hotpath.tap import Allowance, TapFilter, TappedLine, regex_of_glob
from relay.wording import as_utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.protocols import Relay
    from relay.clock import Clock
    from relay.delivery.request_history import PointBody, RequestHistory, SentRequest
    from relay.hotpath.contract import HotPath


_EXPLAINED: Final = 100
"""Lines explained at a time, 50 to 100 us each."""
_EXPLAINED_BYTES: Final = 16 * 1024
"""Bytes after which `read` stops: a line of 64 KiB takes some 50 ms to explain."""
_SETTLED: Final = 0.2
"""Age of a line in seconds at which naming has answered: it does so every 100 ms."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """State: what a tap has counted; matched == shown + hidden + lost, and what waits for the reader."""

    received: int = 0
    """Lines, or points with an answer, of any name."""
    matched: int = 0
    shown: int = 0
    hidden: int = 0
    lost: int = 0
    unjudged: int = 0


class Tap(Protocol):
    """A tap that is open."""

    counts: Counts

    def read(self, *, is_last: bool = False) -> Sequence[TapLine | TapPoint]:
        """Return what has come since the last call, and count it as shown; `is_last`: also what may not be settled."""
        ...

    def close(self) -> None:
        """End the tap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapRequest:
    """What a person wants to see."""

    of: Literal["all", "rejected", "dropped", "sent"] = "all"
    glob: str = ""
    tag: str = ""
    """`key=value`."""
    sender: str = ""
    """Address or network; not of `sent`."""
    rate: int = 20


class LineTap:
    """State: the number of a tap in the hot path, the lines read of it and not explained yet, and its counts."""

    def __init__(self, hotpath: HotPath, verdict: LineVerdict, *, number: int, clock: Clock) -> None:
        self.counts = Counts()
        self._clock = clock
        self._hotpath = hotpath
        self._verdict = verdict
        self._number = number
        self._waiting: deque[TappedLine] = deque()
        self._judged = 0
        """Lines that were undecided, and matched."""

    def read(self, *, is_last: bool = False) -> list[TapLine]:
        """Return the next lines, at most 100, explained; those that are undecided are judged. At most 10 ms.

        A line waits until the names of its moment are known, since only then its overflow is.
        """
        if not self._waiting:
            self._refill()
        now, lines, size = self._clock.wall(), list[TappedLine](), 0
        while self._waiting and len(lines) < _EXPLAINED and size < _EXPLAINED_BYTES:
            if not is_last and 0 <= now - self._waiting[0].time < _SETTLED:
                break
            lines.append(self._waiting.popleft())
            size += len(lines[-1].line)
        shown = [line for line in lines if line.of != "undecided" or self._verdict.is_dropped(line)]
        judged = sum(line.of == "undecided" for line in shown)
        self._judged += judged
        self.counts.matched += judged
        self.counts.shown += len(shown)
        return [self._verdict.explain(line) for line in shown]

    def _refill(self) -> None:
        lines, found = self._hotpath.tapped(self._number)
        self._waiting.extend(lines)
        counts = self.counts
        counts.received, counts.matched = found.received, found.matched + self._judged
        counts.hidden, counts.lost, counts.unjudged = found.hidden, found.lost, found.unjudged

    def close(self) -> None:
        """End the tap in the hot path."""
        self._hotpath.close_tap(self._number)


class PointTap:
    """State: a filter, the points that wait for the reader, and the counts."""

    def __init__(self, history: RequestHistory, wanted: TapRequest, *, clock: Clock) -> None:
        self.counts = Counts()
        self._history = history
        self._clock = clock
        self._match = re.compile(regex_of_glob(wanted.glob.encode()), re.DOTALL).fullmatch if wanted.glob else None
        key, _, value = wanted.tag.partition("=")
        self._tag = (key, value) if wanted.tag else None
        self._allowance = Allowance(float(wanted.rate), clock.monotonic())
        self._waiting: deque[TapPoint] = deque()
        history.watchers.append(self._watch)

    def _watch(self, request: SentRequest) -> None:
        """Offer the points of a request that has its outcome; at most 50."""
        now = self._clock.monotonic()
        for index, point in enumerate(read_points(zlib.decompress(request.body))):
            self.counts.received += 1
            if self._matches(point):
                self._offer(request, index, point, now)

    def _matches(self, point: PointBody) -> bool:
        if self._match is not None and not self._match(point.metric.encode()):
            return False
        return self._tag is None or point.dimensions.get(self._tag[0]) == self._tag[1]

    def _offer(self, request: SentRequest, index: int, point: PointBody, now: float) -> None:
        self.counts.matched += 1
        if not self._allowance.use(now):
            self.counts.hidden += 1
            return
        if len(self._waiting) == limits.TAPPED_LINES:
            self._waiting.popleft()
            self.counts.lost += 1
        self._waiting.append(_sent_point(request, index, point))

    def read(self, *, is_last: bool = False) -> list[TapPoint]:  # noqa: ARG002 - every point is settled
        """Return the points since the last call."""
        points, self._waiting = list(self._waiting), deque()
        self.counts.shown += len(points)
        return points

    def close(self) -> None:
        """End the tap."""
        self._history.watchers.remove(self._watch)


def _sent_point(request: SentRequest, index: int, point: PointBody) -> TapPoint:
    refused = request.refused.get(index)
    return TapPoint(
        at=as_utc(request.at),
        window=as_utc(request.window),
        metric=point.metric,
        namespace=point.namespace,
        dimensions=point.dimensions,
        values=point.values,
        outcome=request.outcome if refused is None else "refused",
        request_id=request.request_id,
        detail=request.detail if refused is None else refused,
    )


_WILD: Final = re.compile(r"[*?]+")


class Taps:
    """State: the open taps."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        labels = [*(one.label for one in relay.listeners), *(one.label for one in relay.streams.listeners)]
        self._verdict = LineVerdict(relay, labels)
        self._open: set[Tap] = set()

    def __len__(self) -> int:
        """Return the number of open taps."""
        return len(self._open)

    def open(self, wanted: TapRequest) -> Tap | None:
        """Return a tap; None if there are four already.

        Raises:
            ValueError: the filter is not valid; the message is the rule.
        """
        if (wanted.tag and not wanted.tag.partition("=")[0]) or (wanted.tag and "=" not in wanted.tag):
            raise ValueError("tag: must be key=value")
        if len(self._open) == limits.TAPS_MOST:
            return None
        tap = self._open_sent(wanted) if wanted.of == "sent" else self._open_lines(wanted, wanted.of)
        if tap is not None:
            self._open.add(tap)
        return tap

    def _open_sent(self, wanted: TapRequest) -> Tap:
        if wanted.sender:
            raise ValueError("from: a point that is sent has no sender")
        return PointTap(self._relay.requests, wanted, clock=self._relay.context.clock)

    def _open_lines(self, wanted: TapRequest, of: Literal["all", "rejected", "dropped"]) -> Tap | None:
        number = self._relay.hotpath.open_tap(
            TapFilter(
                of=of,
                pattern=wanted.glob.encode("utf-8", "surrogateescape"),
                tag=wanted.tag.encode("utf-8", "surrogateescape"),
                sender=wanted.sender,
                rate=float(wanted.rate),
            )
        )
        if number is None:
            return None
        return LineTap(self._relay.hotpath, self._verdict, number=number, clock=self._relay.context.clock)

    def close(self, tap: Tap) -> None:
        """End a tap."""
        self._open.remove(tap)
        tap.close()

    async def near(self, glob: str) -> list[str]:
        """Return names that came and are similar to a glob without its wild cards."""
        name = _WILD.sub("", glob).strip(".")
        if not name:
            return []
        known = await self._relay.cardinality.describe(name)
        return known.near or known.received[:3]
