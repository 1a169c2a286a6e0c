"""A cache of the lines seen in this window: key -> how to add the value. It may be cleared at any time.

A key is the bytes before the first colon and the bytes after the first bar. It is learned from a parsed line, and only
if every line with the same key and another number means the same: one value, no timestamp, no unknown section, a
resolved series that does not overflow.
"""

from __future__ import annotations

from functools import partial as bind
from typing import TYPE_CHECKING, Final

from relay.hotpath.line import NUMBER_BYTES, read_number
from relay.hotpath.python.cell import clamp_to_finite
from relay.model import Kind, Resolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.hotpath.line import Group
    from relay.hotpath.python.cell import Cell
    from relay.hotpath.python.store import Store

Key = tuple[bytes, bytes]

_KEY_BYTES: Final = 512
"""Longest cached key; a line with a longer one is parsed each time, so that the cache is bounded in bytes."""
_CACHED_BYTES: Final = 5
"""Longest cached number, in characters: bounded, and short numbers are the ones that repeat."""


class Numbers(dict[bytes, float]):
    """State: text -> number, for plain unsigned decimals; a signed number may be a gauge's delta and is never here.

    Indexing converts a new text at a third of the cost of the grammar. KeyError: the grammar must decide.
    """

    def __missing__(self, value: bytes) -> float:
        """Convert a plain decimal.

        Raises:
            KeyError: the text is not a plain decimal, or too long.
        """
        if value.translate(None, b"0123456789.") or len(value) > NUMBER_BYTES:
            raise KeyError
        try:
            number = float(value)
        except ValueError:
            raise KeyError from None
        if len(value) <= _CACHED_BYTES:
            self[value] = number
        return number


class LineCache:
    """State: key -> the function that adds the value."""

    def __init__(self, store: Store, *, limit: int) -> None:
        self._store = store
        self._limit = limit
        self.append: dict[Key, Callable[[float], None]] = {}
        """Counters and timers of one rate: append to the cell's pending values."""
        self._direct: dict[Key, Callable[[bytes, float], bool]] = {}
        """Gauges with deltas, sets, and series with several rates: add a raw value; return whether it was valid."""
        self.numbers = Numbers()
        self.now = 0.0
        """Receive time of the current datagram."""

    def add(self, key: Key, value: bytes, now: float) -> bool:
        """Add a value if its key is known; return whether it was added."""
        direct = self._direct.get(key)
        if direct is not None:
            return direct(value, now)
        append = self.append.get(key)
        number = read_number(value) if append is not None else None
        if append is None or number is None:
            return False
        append(number)
        return True

    def store(self, key: Key, group: Group, answer: object, now: float) -> None:
        """Cache the key of a parsed line, so that its next line is not parsed."""
        if not isinstance(answer, Resolution) or group.timestamp is not None or group.ignored:
            return
        _, cell, overflows = self._store.place(answer)
        if overflows or len(key[0]) + len(key[1]) > _KEY_BYTES:
            return
        if len(self.append) + len(self._direct) >= self._limit:
            self.clear()
        if group.kind is Kind.GAUGE:
            self._direct[key] = bind(self._set_gauge, cell)
            self.append[key] = bind(self._append_gauge, cell)
        elif group.kind is Kind.SET:
            self._direct[key] = bind(_add_member, cell)
        elif cell.register_weight(group.weight, now):
            self.append[key] = cell.pending.append
        else:
            # A second rate: keys of the first one must not append any more. Which they are is not recorded: clear all.
            self.append.clear()
            self._direct[key] = bind(_add_number, cell, group.weight)

    def clear(self) -> None:
        """Drop all keys; the cached numbers stay valid."""
        self.append.clear()
        self._direct.clear()

    def _append_gauge(self, cell: Cell, number: float) -> None:
        cell.pending.append(number)
        cell.pending_at = self.now

    def _set_gauge(self, cell: Cell, value: bytes, now: float) -> bool:
        number = read_number(value)
        if number is None:
            return False
        if value[0] in self._store.signs:
            number = clamp_to_finite(cell.latest() + number)
        cell.pending.append(number)
        cell.pending_at = now
        return True


def _add_member(cell: Cell, value: bytes, now: float) -> bool:
    if value:
        cell.add_member(value, now)
    return bool(value)


def _add_number(cell: Cell, weight: float, value: bytes, now: float) -> bool:
    number = read_number(value)
    if number is not None:
        cell.add([number], weight, now)
    return number is not None
