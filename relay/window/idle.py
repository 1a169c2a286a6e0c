"""Series that were active before and are idle now: statsd sends 0 for them, for ever.

Decides only whose zeros those are; a zero has no samples, so the ledger of samples does not know them. Bounded by
`[limits] series`: beyond it the least recently active go first. It lives in memory alone, as in statsd: after a restart
a series is sent again when it has been active again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from relay.model import Kind, Series


class IdleSeries:
    """State: each series and the window it was last active in, least recently active first."""

    def __init__(self, *, kinds: Collection[Kind], limit: int) -> None:
        self._seen: OrderedDict[Series, int] = OrderedDict()
        """Ordered: taking the first of a dict walks over all that were taken before."""
        self._window = 0
        """Counts windows: the clock does not matter here."""
        self.configure(kinds=kinds, limit=limit)

    def __repr__(self) -> str:
        """Report the size."""
        return f"<IdleSeries {len(self._seen)} of {self._limit}>"

    def configure(self, *, kinds: Collection[Kind], limit: int) -> None:
        """Set the classes that are sent as 0, and how many series are known at most."""
        self.kinds = frozenset(kinds)
        self._limit = limit
        self._seen = OrderedDict((one, window) for one, window in self._seen.items() if one.kind in self.kinds)
        self._make_room()

    def note(self, series: Series) -> None:
        """Take notice of an active series of the window that closes."""
        if series.kind in self.kinds:
            self._seen[series] = self._window
            self._seen.move_to_end(series)
            self._make_room()

    def rest(self) -> Iterator[Series]:
        """Yield the series that are idle, once all active ones were noted; the next ones noted are another window's."""
        # A copy: what is forgotten meanwhile is still of the window that closes.
        seen, active = list(self._seen.items()), self._window
        self._window += 1
        for series, window in seen:
            if window == active:
                return
            yield series

    def known(self, kind: Kind) -> list[Series]:
        """Return the series of a class that are active or get zeros."""
        return [series for series in self._seen if series.kind is kind]

    def forget(self, series: Iterable[Series]) -> None:
        """Send no more zeros for these."""
        for one in series:
            self._seen.pop(one, None)

    def _make_room(self) -> None:
        while len(self._seen) > self._limit:
            self._seen.popitem(last=False)
