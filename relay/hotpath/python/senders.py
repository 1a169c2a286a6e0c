"""Counts by sender, and the last rejected lines; kernel/senders.h describes the design, and the rules are the same.

Bounded (I6): 1,024 senders with the newest rejected line of each, 64 rejected lines. Does not know: the grammar.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.model import Peer, RejectedLine, Sender, Senders

if TYPE_CHECKING:
    from relay.hotpath.python.receive import Peername

_PROBED: Final = 4
"""Places checked for a silent sender by each packet of a new address, while every place is taken."""


class Rejects:
    """State: the last 64 rejected lines, and the counts by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._ring: deque[RejectedLine] = deque(maxlen=limits.REJECTS_KEPT)

    def add(self, line: RejectedLine) -> None:
        """Count a rejected line, and keep it."""
        self.count(line.reason, 1)
        self._ring.append(line)

    def count(self, reason: str, lines: int) -> None:
        """Count rejected lines of which the text is no longer available."""
        if lines:
            self.counts[reason] = self.counts.get(reason, 0) + lines

    def latest(self) -> list[RejectedLine]:
        """Return the last rejected lines, oldest first."""
        return list(self._ring)


def rejected_line(line: bytes, reason: str, peer: Peername, now: float) -> RejectedLine:
    """Return the record of a rejected line, with its first bytes."""
    sender = Peer(plain_host(peer[0]), peer[1]) if peer else None
    return RejectedLine(line=line[: limits.REJECT_BYTES], reason=reason, peer=sender, time=now)


def plain_host(host: str) -> str:
    """Return an address without its scope, and IPv4 in its own form."""
    if ":" not in host:
        return host
    host = host.partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host


@dataclass(slots=True, eq=False)
class Counted:
    """What came from one address."""

    host: str | None
    listener: int
    packets: int = 0
    lines: int = 0
    rejected: int = 0
    last_at: float = 0.0
    bad: RejectedLine | None = None
    batch: object = None
    """The batch of its newest packet."""

    def take(self, other: Counted) -> None:
        """Add the counts of another one."""
        self.packets += other.packets
        self.lines += other.lines
        self.rejected += other.rejected
        self.last_at = max(self.last_at, other.last_at)
        if other.bad is not None and (self.bad is None or other.bad.time >= self.bad.time):
            self.bad = other.bad

    def value(self) -> Sender:
        """Return the counts at this moment."""
        return Sender(self.host, self.listener, self.packets, self.lines, self.rejected, self.last_at, self.bad)


class SenderCounts:
    """State: address -> counts, for at most `limits.SENDERS_MOST`, and the counts of all others."""

    def __init__(self) -> None:
        self.by_key: dict[str | int, Counted] = {}
        """By host, or by the listener's number for senders on a Unix socket."""
        self._places: list[str | int] = []
        self._hand = 0
        self._others = Counted(None, 0)

    @property
    def lines(self) -> int:
        """Lines of all senders."""
        return sum(one.lines for one in self.by_key.values()) + self._others.lines

    def __len__(self) -> int:
        """Return the number of senders that are counted separately."""
        return len(self._places)

    def touch(self, peer: Peername, listener: int, now: float, batch: object = None) -> Counted:
        """Return the counts of the sender of what has just come; the caller adds packets and lines.

        A second call for a sender in one `batch` (any object) may be left out.
        """
        key = peer[0] if peer else listener
        found = self.by_key.get(key) or self._find_or_add(key, listener, now)
        found.last_at, found.listener, found.batch = now, listener, batch
        return found

    def reject(self, line: RejectedLine, listener: int) -> None:
        """Count a rejected line."""
        found = self.by_key.get(line.peer.host if line.peer else listener, self._others)
        found.rejected += 1
        found.bad = line

    def _find_or_add(self, key: str | int, listener: int, now: float) -> Counted:
        if isinstance(key, str) and (plain := plain_host(key)) in self.by_key:
            return self.by_key[plain]
        place = self._free_place(now)
        if place is None:
            return self._others
        host = plain_host(key) if isinstance(key, str) else None
        self._places[place] = listener if host is None else host
        made = self.by_key[self._places[place]] = Counted(host, listener, last_at=now)
        return made

    def _free_place(self, now: float) -> int | None:
        """Return the index of a place for a new sender; None if all are taken."""
        if len(self._places) < limits.SENDERS_MOST:
            self._places.append("")
            return len(self._places) - 1
        for _ in range(_PROBED):
            place, self._hand = self._hand, (self._hand + 1) % limits.SENDERS_MOST
            if now - self.by_key[self._places[place]].last_at > limits.SENDER_SILENT:
                self._others.take(self.by_key.pop(self._places[place]))
                return place
        return None

    def all(self) -> Senders:
        """Return the counts at this moment."""
        return Senders([self.by_key[key].value() for key in self._places], self._others.value())
