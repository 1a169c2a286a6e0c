"""Which tag makes the series so many: a bounded look at the open window, once samples go to overflow series.

Nothing of this is on the hot path. The first 100,000 series of the window are walked, a few at a time, twice: first for
the metrics that overflowed, then for the values of their tags. That costs 0.2 s a minute for 50,000 series, while they
overflow. Names can explode as well (`user.8125.logins`); then it is the part before their first dot that they share.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from relay.wording import escape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from relay.clock import Clock
    from relay.model import Newcomer, Series, Tally

_INTERVAL: Final = 1.0
"""Seconds between two looks at the count of samples that overflowed."""
_SILENCE: Final = 60.0
"""Seconds between two warnings."""
_MOST: Final = 100_000
_PATIENCE: Final = 10.0
"""Seconds to wait for a window in which the overflow can be seen; then what explodes is told without."""
_PART: Final = 250
"""Series at a time: a millisecond."""
_PLAUSIBLE: Final = 2
"""Values that a tag must have to be to blame: a window that has only begun may not hold what overflowed."""
_MARK: Final = ("overflow", "true")


class Explosion(NamedTuple):
    """What is too many: the values of a tag, or, with an empty tag, names."""

    metric: str
    """With the most values of the tag; for names, `PREFIX.*`."""
    tag: str
    values: int
    """Distinct ones among the series looked at: at least so many there are."""


class Census:
    """State: distinct values by tag, and how often a metric has a new one; distinct names."""

    def __init__(self) -> None:
        self._values: defaultdict[str, set[str]] = defaultdict(set)
        self._metrics: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._names: set[str] = set()

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Census {len(self._names)} names, {len(self._values)} tags>"

    def add(self, series: Series) -> None:
        """Count a series."""
        self._names.add(series.metric)
        for tag, value in series.dimensions:
            if value not in self._values[tag]:
                self._values[tag].add(value)
                self._metrics[tag][series.metric] += 1

    def verdict(self, others: Census) -> Explosion | None:
        """Return the tag with the most values here, unless there are even more names; None if nothing was counted.

        Its values are counted among the others, too: a tag may explode over many metrics of which few overflowed yet.
        """
        tag, values = max(self._values.items(), key=lambda item: len(item[1]), default=("", set()))
        if len(self._names) > len(values):
            prefixes = Counter(name.partition(".")[0] for name in self._names)
            prefix, names = prefixes.most_common(1)[0]
            return Explosion(f"{prefix}.*", "", names)
        if not values:
            return None
        return Explosion(self._metrics[tag].most_common(1)[0][0], tag, len(values | others._values[tag]))


class Source(Protocol):
    """What is asked of the hot path."""

    def tally(self) -> Tally:
        """Return every count."""
        ...

    def list_series(self, first: int, count: int) -> Sequence[Series]:
        """Return some series of the open window."""
        ...

    def newcomers(self) -> Sequence[Newcomer]:
        """Return who brought new identities since the last call, the most work first."""
        ...


class Warner(Protocol):
    """Who tells people."""

    def warn(self, event: str, *, reason: str, **fields: Any) -> None:  # noqa: ANN401 - log fields are any scalars
        """Log a loss."""
        ...


class CardinalityWatch:
    """State: the overflow that the log knows of, and when it may be told more."""

    def __init__(self, source: Source, *, warner: Warner, clock: Clock) -> None:
        self._source = source
        self._warner = warner
        self._clock = clock
        self._told = self._unread = 0
        self._newest: Newcomer | None = None
        """Who brought most of the new identities when some were last brought."""
        self._next_at = 0.0
        self._since: float | None = None
        """When samples were first seen to overflow that the log does not know of."""

    def __repr__(self) -> str:
        """Report what was told."""
        return f"<CardinalityWatch {self._told} samples told>"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(_INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Warn, once a minute, if samples went to overflow series; a window that has only begun shows nothing yet."""
        tally, now = self._source.tally(), self._clock.monotonic()
        self._newest = next(iter(self._source.newcomers()), self._newest)
        self._tell_of_unread(tally.tags_unread)
        overflowed = tally.samples_overflow
        if overflowed <= self._told or now < self._next_at:
            return
        self._since = now if self._since is None else self._since
        found = await self._find(must_see=now < self._since + _PATIENCE)
        if found is None:
            return
        if found.values < _PLAUSIBLE and self._newest:
            found = Explosion(escape(self._newest.name), escape(_first_key(self._newest.tags)), found.values)
        self._warner.warn(
            "RLY310 series limit reached",
            reason="samples went to overflow series",
            count=overflowed - self._told,
            metric=found.metric,
            tag=found.tag,
            values=found.values,
            **_sender(self._newest),
            fix=f"send fewer {f'values of {found.tag}' if found.tag else 'names'}, or raise [limits]",
        )
        self._told, self._next_at, self._since = overflowed, now + _SILENCE, None

    def _tell_of_unread(self, unread: int) -> None:
        """Warn that lines had more tags than are read."""
        grown, self._unread, newest = unread - self._unread, unread, self._newest
        if grown and newest:
            self._warner.warn(
                "RLY303 tags dropped",
                reason="a section is longer than is read",
                count=grown,
                metric=escape(newest.name),
                tag=escape(_first_key(newest.tags)),
                **_sender(newest),
            )

    async def _find(self, *, must_see: bool) -> Explosion | None:
        overflowed = {series.metric async for series in self._walk() if _MARK in series.dimensions}
        if must_see and not overflowed:
            return None
        inside, outside = Census(), Census()
        async for series in self._walk():
            if _MARK not in series.dimensions:
                (inside if series.metric in overflowed else outside).add(series)
        return inside.verdict(outside) or outside.verdict(inside)

    async def _walk(self) -> AsyncIterator[Series]:
        for first in range(0, _MOST, _PART):
            part = self._source.list_series(first, _PART)
            for series in part:
                yield series
            if len(part) < _PART:
                return
            await self._clock.sleep(0)


def _first_key(tags: bytes) -> bytes:
    return tags.partition(b",")[0].partition(b":")[0]


def _sender(newest: Newcomer | None) -> dict[str, str]:
    """Return who most likely is to blame, as a field of the log."""
    if newest is None:
        return {}
    return {"sender": f"{newest.peer.host}:{newest.peer.port}" if newest.peer else "a Unix socket"}
