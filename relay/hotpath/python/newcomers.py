"""The senders of new identities, by the work they cause for naming, each with its newest identity as an example.

Bounded by the space-saving algorithm with 16 places: a sender without a place replaces the one with the least work and
inherits its counts. So every sender with more than a sixteenth of all work has a place, and counts are upper bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay import limits
from relay.hotpath.python.identities import naming_work
from relay.model import Newcomer, Peer

if TYPE_CHECKING:
    from relay.hotpath.python.receive import Peername


class Newcomers:
    """State: the senders since the last `take`, by host."""

    def __init__(self) -> None:
        self._found: dict[str, Newcomer] = {}

    def __repr__(self) -> str:
        """Report the number of senders."""
        return f"<Newcomers {len(self._found)}>"

    def add(self, peer: Peername, name: bytes, tags: bytes) -> None:
        """Count an identity that is new, or that found no room to wait for its name."""
        host = peer[0] if peer else ""
        before = self._found.get(host) or self._replaced()
        example = name[: limits.NEWCOMER_BYTES], tags[: limits.NEWCOMER_BYTES]
        work = before.work + naming_work(name, tags)
        self._found[host] = Newcomer(Peer(*peer[:2]) if peer else None, before.identities + 1, work, *example)

    def _replaced(self) -> Newcomer:
        if len(self._found) < limits.NEWCOMERS_KEPT:
            return Newcomer(None, 0, 0, b"", b"")
        return self._found.pop(min(self._found, key=lambda host: self._found[host].work))

    def take(self) -> list[Newcomer]:
        """Return the senders, most work first, and start from empty."""
        found, self._found = self._found, {}
        return sorted(found.values(), key=lambda newcomer: -newcomer.work)
