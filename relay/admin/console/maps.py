"""The maps of the text console: the series of a class by name, shown or deleted.

A series with tags beyond the default ones is called `name;key=value`, which a line may be called as well. Everything is
done in slices, since nothing may hold the event loop, and for one peer at a time: the slices of many would. A map shown
is bounded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from relay.admin.console.node_format import inspect, number
from relay.clock import paced
from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Sequence

    from relay.clock import Clock
    from relay.model import Row, Series

    Reply = AsyncIterator[str]

END: Final = "END\n\n"
MOST: Final = 10_000
"""Entries of a map; it says how many more there are."""
_TOGETHER: Final = 100
"""Names deleted before others run: the hot path walks over its window for a call, or for each series of it."""


class HotPath(Protocol):
    """The open window."""

    def snapshot(self) -> Iterator[list[Row]]:
        """Its rows, in parts."""
        ...

    def gauges(self) -> Iterator[list[tuple[Series, float]]]:
        """Every gauge with its value, in parts."""
        ...


class Idle(Protocol):
    """Series that were active before the open window and may be sent as 0."""

    def known(self, kind: Kind) -> list[Series]:
        """Those of a class, those that are active too."""
        ...


class State(Protocol):
    """Whose series they are."""

    @property
    def clock(self) -> Clock:
        """Of the relay."""
        ...

    @property
    def hotpath(self) -> HotPath:
        """The open window."""
        ...

    @property
    def idle(self) -> Idle:
        """Who is sent as 0."""
        ...

    @property
    def default_dimensions(self) -> Collection[tuple[str, str]]:
        """What a series may have without a tag of its line."""
        ...

    def forget(self, series: Collection[Series]) -> None:
        """Delete everything that is kept of series."""


class Maps:
    """State: who is at work; everything else is the relay's."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._turn = asyncio.Lock()
        """Of a reply until it is whole: a peer that does not read it must not hold up the others."""

    def __repr__(self) -> str:
        """Name the hot path."""
        return f"<Maps of {self._state.hotpath!r}>"

    async def show(self, kind: Kind) -> Reply:
        """Yield a class as a map of JavaScript; timers keep no values."""
        async with self._turn:
            pieces = [piece async for piece in self._show(kind)]
        for piece in pieces:
            yield piece

    async def _show(self, kind: Kind) -> Reply:
        entries: dict[str, str] = {}
        hidden = 0
        async for _, name, text in self._series(kind):
            if len(entries) < MOST or name in entries:
                entries[name] = text
            else:
                hidden += 1
        async for piece in paced(self._state.clock, inspect(entries, hidden=hidden)):
            yield piece
        yield f"\n{END}"

    async def delete(self, kind: Kind, wanted: Sequence[str]) -> Reply:
        """Delete names, and whole folders where `.*` ends them; yield what became of each."""
        async with self._turn:
            pieces = [piece async for piece in self._delete(kind, wanted)]
        for piece in pieces:
            yield piece

    async def _delete(self, kind: Kind, wanted: Sequence[str]) -> Reply:
        there: dict[str, list[Series]] = {}
        async for series, name, _ in self._series(kind):
            there.setdefault(name, []).append(series)
        for pattern in wanted:
            found = [pattern] if pattern in there else []
            if pattern.endswith(".*"):
                found += [name for name in there if name.startswith(pattern[:-1])]
            if not found:
                yield f"metric {pattern} not found\n"
            for first in range(0, len(found), _TOGETHER):
                names = found[first : first + _TOGETHER]
                self._state.forget([series for name in names for series in there.pop(name)])
                yield "".join(f"deleted: {name}\n" for name in names)
                await self._state.clock.sleep(0)
            await self._state.clock.sleep(0)
        yield END

    async def _series(self, kind: Kind) -> AsyncIterator[tuple[Series, str, str]]:
        """Yield the series of a class, each with what it is called here and its value; idle ones are 0."""
        hotpath, defaults = self._state.hotpath, self._state.default_dimensions
        idle = dict.fromkeys(self._state.idle.known(kind))
        parts = hotpath.gauges() if kind is Kind.GAUGE else _values(hotpath.snapshot(), kind)
        async for part in paced(self._state.clock, parts):
            for series, value in part:
                idle.pop(series, None)
                yield series, _called(series, defaults), "[]" if value is None else number(value)
        async for series in paced(self._state.clock, idle):
            yield series, _called(series, defaults), "0" if kind is Kind.COUNTER else "[]"


def _values(parts: Iterator[list[Row]], kind: Kind) -> Iterator[Sequence[tuple[Series, float | None]]]:
    """Yield the rows of a class with their sums; timers have none."""
    for part in parts:
        rows = [(series, rollup) for series, rollup in part if series.kind is kind]
        yield [(series, rollup.sum if kind is Kind.COUNTER else None) for series, rollup in rows]


def _called(series: Series, defaults: Collection[tuple[str, str]]) -> str:
    tags = [f"{key}={value}" for key, value in series.dimensions if (key, value) not in defaults]
    return ";".join([series.metric, *tags])
