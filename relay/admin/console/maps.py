"""The maps of the text console: shows or deletes the series of a class by name.

A series with tags beyond the default ones is shown as `name;key=value`, which may also be the name of another series.
The work is done in slices, so that the event loop is not blocked, and for one client at a time. A map shows at most
10,000 entries.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from relay.admin.console.node_format import inspect, number
from relay.clock import paced
from relay.model import Kind
from relay.naming.dimensions import default_dimensions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Sequence

    from relay.admin.protocols import Relay
    from relay.model import Row, Series

    Reply = AsyncIterator[str]

END: Final = "END\n\n"
MOST: Final = 10_000
"""Entries shown of a map; its last line says how many more there are."""
_DELETED_AT_ONCE: Final = 100
"""Names deleted in one slice: the hot path scans its window once a call, or once for each of the series."""


class Maps:
    """State: a lock held by the request being answered; everything else is the relay's."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._lock = asyncio.Lock()
        """Held until a reply is complete, not until it is read: a client that does not read must not block others."""

    async def show(self, kind: Kind) -> Reply:
        """Yield the series of a class as Node prints a map; timers show `[]`."""
        async with self._lock:
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
        async for piece in paced(self._relay.context.clock, inspect(entries, hidden=hidden)):
            yield piece
        yield f"\n{END}"

    async def delete(self, kind: Kind, wanted: Sequence[str]) -> Reply:
        """Delete the named series, and all below a name that ends in `.*`; yield the result for each name."""
        async with self._lock:
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
            for first in range(0, len(found), _DELETED_AT_ONCE):
                names = found[first : first + _DELETED_AT_ONCE]
                self._relay.status.delete([series for name in names for series in there.pop(name)])
                yield "".join(f"deleted: {name}\n" for name in names)
                await self._relay.context.clock.sleep(0)
            await self._relay.context.clock.sleep(0)
        yield END

    async def _series(self, kind: Kind) -> AsyncIterator[tuple[Series, str, str]]:
        """Yield each series of a class with its name in the map and its value; an idle series has 0, or `[]`."""
        hotpath, defaults = self._relay.hotpath, default_dimensions(self._relay.config.tags)
        idle = dict.fromkeys(self._relay.idle.known(kind))
        parts = hotpath.gauges() if kind is Kind.GAUGE else _values(hotpath.snapshot(), kind)
        async for part in paced(self._relay.context.clock, parts):
            for series, value in part:
                idle.pop(series, None)
                yield series, _display_name(series, defaults), "[]" if value is None else number(value)
        async for series in paced(self._relay.context.clock, idle):
            yield series, _display_name(series, defaults), "0" if kind is Kind.COUNTER else "[]"


def _values(parts: Iterator[list[Row]], kind: Kind) -> Iterator[Sequence[tuple[Series, float | None]]]:
    """Yield the series of a class with their sums; None for timers."""
    for part in parts:
        rows = [(series, rollup) for series, rollup in part if series.kind is kind]
        yield [(series, rollup.sum if kind is Kind.COUNTER else None) for series, rollup in rows]


def _display_name(series: Series, defaults: Collection[tuple[str, str]]) -> str:
    tags = [f"{key}={value}" for key, value in series.dimensions if (key, value) not in defaults]
    return ";".join([series.metric, *tags])
