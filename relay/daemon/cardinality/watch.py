"""Find the tag with too many values: a bounded scan of the open window once samples go to overflow series.

The scan is not part of the hot path. It walks the first 100,000 series of the window twice, a few at a time: first for
the metrics that overflowed, then for the values of their tags. During an overflow it costs 0.2 s a minute for 50,000
series. If there are more names than values of any tag (`user.8125.logins`), the most frequent first part of the names
is reported instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.daemon.cardinality.survey import OVERFLOW, open_series
from relay.wording import escape

if TYPE_CHECKING:
    from relay.context import Context
    from relay.hotpath.contract import HotPath
    from relay.model import Series, TopSender

_INTERVAL: Final = 1.0
"""Seconds between two reads of the count of overflowed samples."""
_SILENCE: Final = 60.0
"""Seconds between two warnings."""
_REACHED: Final = "series limit reached, samples go to overflow series"
_WAIT: Final = 10.0
"""Seconds to wait for a window that holds an overflow series; afterwards the warning is based on all series."""
_PLAUSIBLE: Final = 2
"""A tag needs this many values to be named as the cause: a new window may not hold the series that overflowed."""


class Explosion(NamedTuple):
    """The cause of too many series: the values of a tag, or names (`tag` is empty)."""

    metric: str
    """The metric with the most values of the tag; for names, `PREFIX.*`."""
    tag: str
    values: int
    """Distinct values, or names, among the scanned series: a lower bound."""


class DistinctCounts:
    """State: distinct values by tag, the number of values that each metric was first to have, and distinct names."""

    def __init__(self) -> None:
        self._values: defaultdict[str, set[str]] = defaultdict(set)
        self._metrics: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._names: set[str] = set()

    def add(self, series: Series) -> None:
        """Count a series."""
        self._names.add(series.metric)
        for tag, value in series.dimensions:
            if value not in self._values[tag]:
                self._values[tag].add(value)
                self._metrics[tag][series.metric] += 1

    def cause(self, others: DistinctCounts) -> Explosion | None:
        """Return the tag with the most values, or names if there are more of those; None if nothing was counted.

        Values of the tag in `others` are counted, too: the tag may be used by many metrics of which few overflowed yet.
        """
        tag, values = max(self._values.items(), key=lambda item: len(item[1]), default=("", set()))
        if len(self._names) > len(values):
            prefixes = Counter(name.partition(".")[0] for name in self._names)
            prefix, names = prefixes.most_common(1)[0]
            return Explosion(f"{prefix}.*", "", names)
        if not values:
            return None
        return Explosion(self._metrics[tag].most_common(1)[0][0], tag, len(values | others._values[tag]))


class CardinalityWatch:
    """State: the overflow that was logged, and the time since when it has grown."""

    def __init__(self, hotpath: HotPath, context: Context) -> None:
        self._hotpath = hotpath
        self._clock, self._loss_log = context.clock, context.loss_log
        self._reported = self._unread = 0
        self._sender: TopSender | None = None
        """The sender of most new identities, by the work of naming, when there were new ones last."""
        self.explosion: Explosion | None = None
        """The cause that was logged last."""
        self._since: float | None = None
        """When an overflow was first seen that is not logged yet."""

    @property
    def top_sender(self) -> str:
        """The sender of most new names, as HOST:PORT; "" if there were none."""
        return str(_peer(self._sender).get("sender", ""))

    async def run(self) -> None:
        """Check once a second until cancelled."""
        while True:
            await self._clock.sleep(_INTERVAL)
            await self.check()

    async def check(self) -> None:
        """Warn, once a minute at most, if samples went to overflow series; wait if a new window shows no cause yet."""
        tally, now = self._hotpath.tally(), self._clock.monotonic()
        self._sender = next(iter(self._hotpath.top_senders()), self._sender)
        self._warn_of_unread(tally.tags_unread)
        overflowed = tally.samples_overflow
        if overflowed <= self._reported or self._loss_log.is_muted(_REACHED):
            return
        self._since = now if self._since is None else self._since
        found = await self._find_cause(must_see=now < self._since + _WAIT)
        if found is None:
            return
        if found.values < _PLAUSIBLE and self._sender:
            found = Explosion(escape(self._sender.name), escape(_first_key(self._sender.tags)), found.values)
        self.explosion = found
        self._loss_log.warn(
            _REACHED,
            code="RLY310",
            every=_SILENCE,
            samples=overflowed - self._reported,
            metric=found.metric,
            tag=found.tag,
            values=found.values,
            **_peer(self._sender),
            fix=f"send fewer {f'values of {found.tag}' if found.tag else 'names'}, or raise [limits]",
        )
        self._reported, self._since = overflowed, None

    def _warn_of_unread(self, unread: int) -> None:
        """Warn of lines with more tags than are read."""
        grown, self._unread, sender = unread - self._unread, unread, self._sender
        if grown and sender:
            self._loss_log.warn(
                "tags dropped",
                code="RLY303",
                subject="unread",
                tags=grown,
                why="a section of tags is longer than is read",
                metric=escape(sender.name),
                tag=escape(_first_key(sender.tags)),
                **_peer(sender),
            )

    async def _find_cause(self, *, must_see: bool) -> Explosion | None:
        hotpath, clock = self._hotpath, self._clock
        overflowed = {one.metric async for one in open_series(hotpath, clock) if OVERFLOW in one.dimensions}
        if must_see and not overflowed:
            return None
        inside, outside = DistinctCounts(), DistinctCounts()
        async for series in open_series(hotpath, clock):
            if OVERFLOW not in series.dimensions:
                (inside if series.metric in overflowed else outside).add(series)
        return inside.cause(outside) or outside.cause(inside)


def _first_key(tags: bytes) -> bytes:
    return tags.partition(b",")[0].partition(b":")[0]


def _peer(sender: TopSender | None) -> dict[str, Any]:
    """Return the address of the most likely sender, as a field of the log."""
    if sender is None:
        return {}
    return {"sender": f"{sender.peer.host}:{sender.peer.port}" if sender.peer else "a Unix socket"}
