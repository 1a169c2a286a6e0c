"""What people may see of single lines: the last rejected ones, and a tap on those whose name matches."""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.model import Peer, RejectedLine

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAPPED_LINES: Final = 1_000


class Rejects:
    """State: the last 64 rejected lines and the counts by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._ring: deque[RejectedLine] = deque(maxlen=limits.REJECTS_KEPT)

    def __repr__(self) -> str:
        """Report the counts."""
        return f"<Rejects {self.counts}>"

    def add(self, line: bytes, reason: str, peer: tuple[str, int] | None, now: float) -> None:
        """Count a line and keep its beginning."""
        self.count(reason, 1)
        who = Peer(peer[0], peer[1]) if peer else None
        self._ring.append(RejectedLine(line=line[: limits.REJECT_BYTES], reason=reason, peer=who, time=now))

    def count(self, reason: str, lines: int) -> None:
        """Count lines that are no longer at hand."""
        if lines:
            self.counts[reason] = self.counts.get(reason, 0) + lines

    def latest(self) -> list[RejectedLine]:
        """Return the ring, oldest first."""
        return list(self._ring)


class Tap:
    """State: a pattern and the lines that matched it since they were last taken."""

    def __init__(self, pattern: bytes) -> None:
        self._match = re.compile(fnmatch.translate(pattern.decode("latin-1"))).match
        self._lines: deque[bytes] = deque(maxlen=_TAPPED_LINES)

    def __repr__(self) -> str:
        """Report the lines."""
        return f"<Tap {len(self._lines)} lines>"

    def offer(self, lines: Sequence[bytes]) -> None:
        """Keep the lines whose name, up to the first colon, matches; only the newest 1,000."""
        self._lines.extend(line for line in lines if line and self._match(line.partition(b":")[0].decode("latin-1")))

    def take(self) -> list[bytes]:
        """Return and forget what was kept."""
        lines = list(self._lines)
        self._lines.clear()
        return lines
