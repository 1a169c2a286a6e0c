"""Series that were active before and are idle now: statsd sends 0 for them, for ever.

Decides only whose zeros those are; a zero has no samples, so the ledger of samples does not know them. Bounded by
`[limits] series`: beyond it the least recently active go first. It lives in memory alone, as in statsd: after a restart
a series is sent again when it has been active again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from relay.model import Kind, Series


_FORGOTTEN: Final = -1


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
        """Yield the series that are idle, once all active ones were noted; the next ones noted are another window's.

        To be walked to its end; names may be forgotten meanwhile. A copy of 50,000 would hold the event loop for 30 ms.
        """
        active = self._window
        self._window += 1
        gone: list[Series] = []
        for series, window in self._seen.items():
            if window == active:
                break
            if window == _FORGOTTEN:
                gone.append(series)
            else:
                yield series
        for series in gone:
            self._seen.pop(series, None)

    def known(self, kind: Kind) -> list[Series]:
        """Return the series of a class that are active or get zeros."""
        return [series for series, window in self._seen.items() if series.kind is kind and window != _FORGOTTEN]

    def forget(self, series: Iterable[Series]) -> list[Series]:
        """Send no more zeros of these series, until they are active again.

        They are only marked: `rest` may be walking over them, a slice at a time.

        Returns:
            Those that were known.
        """
        found = [one for one in series if self._seen.get(one, _FORGOTTEN) != _FORGOTTEN]
        self._seen.update(dict.fromkeys(found, _FORGOTTEN))
        return found

    def _make_room(self) -> None:
        while len(self._seen) > self._limit:
            self._seen.popitem(last=False)
