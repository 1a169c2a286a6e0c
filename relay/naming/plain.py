"""The short way of an identity that needs nothing: no rules, a name that the API takes as it is, of ordinary length.

It answers as `Namer` would, in a third of the time, or not at all: then the long way is gone. Nearly every identity
takes it, and a flood of them is named before it becomes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from relay import limits
from relay.model import Resolution, Series
from relay.naming.characters import LEGAL
from relay.naming.dimensions import choose, choose_all
from relay.naming.tags import read_section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.model import Identity, Kind
    from relay.naming.classes import Classes
    from relay.naming.dimensions import Pair

_KNOWN: Final = 1_000
_KNOWN_BYTES: Final = 512
"""As in tags.py."""
_make: Final = tuple.__new__
"""A named tuple's own constructor takes twice as long."""


class Count(Protocol):
    """What is told of an identity that is sent otherwise than it came."""

    def __call__(self, identity: Identity, dropped: int, *, is_rewritten: bool) -> None:
        """Count it, with the tags that were dropped."""


class _Known(NamedTuple):
    """What a section of tags comes to, whatever the name."""

    dimensions: tuple[Pair, ...]
    overflow: tuple[Pair, ...]
    dropped: int
    is_rewritten: bool


class Plain:
    """State: the newest sections with what they come to; the names' classes are the namer's.

    Args:
        prefixes: of each class, as they stand before a name.
        reserved: no name may begin so.
        defaults: legal pairs of `[tags]`.
        overflow: returns the dimensions of the overflow series of a section's pairs.
        count: is told of what is sent otherwise than it came.
    """

    def __init__(
        self,
        *,
        prefixes: Mapping[Kind, str],
        reserved: str,
        classes: Classes,
        defaults: Mapping[str, str],
        overflow: Callable[[Mapping[str, str]], tuple[Pair, ...]],
        count: Count,
    ) -> None:
        self._prefixes = prefixes
        self._reserved = reserved
        self._owner = classes.owner
        self._defaults = defaults
        self._overflow = overflow
        self._count = count
        self._known: dict[bytes, _Known] = {}

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Plain {len(self._known)} sections>"

    def resolve(self, identity: Identity) -> Resolution | None:
        """Return the series of an identity; None where there is more to it."""
        name, kind, tags = identity
        if len(name) > limits.NAME_BYTES or not name or name.translate(None, LEGAL):
            return None
        metric = self._prefixes[kind] + name.decode("ascii")
        if len(metric) > limits.NAME_BYTES or metric.startswith(self._reserved):
            return None
        if self._owner(metric, kind) is not kind:
            return None
        dimensions, overflow, dropped, is_rewritten = self._known.get(tags) or self._read(tags)
        if dropped or is_rewritten:
            self._count(identity, dropped, is_rewritten=is_rewritten)
        series: Series = _make(Series, (metric, dimensions, kind, False, ""))
        last_resort: Series = _make(Series, (metric, overflow, kind, False, ""))
        resolution: Resolution = _make(Resolution, (series, last_resort))
        return resolution

    def _read(self, tags: bytes) -> _Known:
        section = read_section(tags)
        pairs, dropped = section.pairs, section.unread
        dimensions = choose_all({**self._defaults, **pairs})
        if dimensions is None:
            dimensions = choose(pairs, self._defaults)
            dropped += len(pairs.keys() - dict(dimensions))
        known: _Known = _make(_Known, (dimensions, self._overflow(pairs), dropped, not section.are_legal))
        if len(tags) <= _KNOWN_BYTES:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[tags] = known
        return known
