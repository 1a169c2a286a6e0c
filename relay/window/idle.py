"""Idle series: active in an earlier window, without a sample in this one. statsd sends 0 for them in every window.

Owned here: which series get a zero. Zeros have no samples, so the ledger of samples does not count them. Bounded by
`[limits] series` (I6); beyond it the least recently active series is dropped. The state is in memory only, as in
statsd: after a restart a series gets zeros again once it has been active.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from relay.model import Kind, Series


_DELETED: Final = -1


class IdleSeries:
    """State: series -> number of the window it was last active in, least recently active first."""

    def __init__(self, *, kinds: Collection[Kind], limit: int) -> None:
        self._seen: OrderedDict[Series, int] = OrderedDict()
        """An OrderedDict: popping the first item of a dict walks over all slots freed before."""
        self._window = 0
        """Number of the current window, counted from the start; independent of the clock."""
        self.configure(kinds=kinds, limit=limit)

    @property
    def size(self) -> int:
        """Number of series in memory."""
        return len(self._seen)

    def configure(self, *, kinds: Collection[Kind], limit: int) -> None:
        """Set the classes that get zeros, and the bound on the number of series."""
        self.kinds = frozenset(kinds)
        self._limit = limit
        self._seen = OrderedDict((one, window) for one, window in self._seen.items() if one.kind in self.kinds)
        self._make_room()

    def record(self, series: Series) -> None:
        """Record an active series of the closing window."""
        if series.kind in self.kinds:
            self._seen[series] = self._window
            self._seen.move_to_end(series)
            self._make_room()

    def finish_window(self) -> Iterator[Series]:
        """Yield the idle series of the closing window, and begin the next window.

        Call it after every active series was passed to `record`, and iterate to the end. `delete` may be called
        meanwhile. No copy is made: 50,000 series would take 30 ms of the event loop.
        """
        active = self._window
        self._window += 1
        gone: list[Series] = []
        for series, window in self._seen.items():
            if window == active:
                break
            if window == _DELETED:
                gone.append(series)
            else:
                yield series
        for series in gone:
            self._seen.pop(series, None)

    def known(self, kind: Kind) -> list[Series]:
        """Return the series of a class that are active or get zeros."""
        return [series for series, window in self._seen.items() if series.kind is kind and window != _DELETED]

    def delete(self, series: Iterable[Series]) -> list[Series]:
        """Send no more zeros of these series until they are active again.

        The series are only marked, since `finish_window` may be iterating over them in slices.

        Returns:
            The series that were known.
        """
        found = [one for one in series if self._seen.get(one, _DELETED) != _DELETED]
        self._seen.update(dict.fromkeys(found, _DELETED))
        return found

    def _make_room(self) -> None:
        while len(self._seen) > self._limit:
            self._seen.popitem(last=False)
