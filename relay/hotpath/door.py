"""What is looked at before it is read: who sends, and what a person wants to see. Most of the time nobody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.hotpath.line import BLANKS
from relay.hotpath.rejects import Rejects, Tap
from relay.hotpath.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.hotpath.counts import Counts
    from relay.hotpath.receive import Peername


class Door:
    """State: the networks that may send, and the tap; None where there is none."""

    def __init__(self, counts: Counts, rejects: Rejects) -> None:
        self._counts = counts
        self._rejects = rejects
        self._tap: Tap | None = None
        self._sources: Sources | None = None
        self._is_watched = False

    def __repr__(self) -> str:
        """Report who may send."""
        return f"<Door {self._sources or 'everybody'}>"

    def admit(self, batch: Sequence[tuple[bytes, Peername]], now: float) -> Sequence[tuple[bytes, Peername]]:
        """Show datagrams to the tap; return those that may come in, and reject the lines of the others."""
        return [one for one in batch if self._lets_in(*one, now)] if self._is_watched else batch

    def _lets_in(self, datagram: bytes, peer: Peername, now: float) -> bool:
        lines = datagram.split(b"\n")
        if self._tap is not None:
            self._tap.offer(lines)
        if self.admits(peer):
            return True
        for line in (raw.rstrip(BLANKS) for raw in lines):
            if line:
                self._counts.received += 1
                self._rejects.add(line, "source_denied", peer, now)
        return False

    def admits(self, peer: Peername) -> bool:
        """Say whether a sender may send."""
        return self._sources is None or self._sources.admit(peer)

    def allow(self, cidrs: Iterable[str]) -> None:
        """Let only these networks in; none named: everybody."""
        networks = list(cidrs)
        self._sources = Sources(networks) if networks else None
        self._is_watched = self._tap is not None or self._sources is not None

    def tap(self, pattern: bytes | None) -> None:
        """Keep the lines whose name matches a glob; None ends it."""
        self._tap = None if pattern is None else Tap(pattern)
        self._is_watched = self._tap is not None or self._sources is not None

    def tapped(self) -> list[bytes]:
        """Return the lines kept since the last call."""
        return self._tap.take() if self._tap is not None else []
