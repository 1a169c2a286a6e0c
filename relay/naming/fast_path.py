"""The fast path of naming: no rules, a name that is legal as received, of ordinary length.

Invariant: an answer is the same as that of the general path in `Namer`, in a third of the time; where `FastPath` cannot
answer it returns None, and `Namer` takes the general path. Nearly every identity takes the fast path, so naming keeps
up with many new identities.
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
"""Longest cached section of tags, in bytes, as in tags.py."""
_make: Final = tuple.__new__
"""Constructor of named tuples; their own takes twice as long."""


class Count(Protocol):
    """Counts identities that are sent changed."""

    def __call__(self, identity: Identity, dropped: int, *, is_rewritten: bool) -> None:
        """Count an identity with `dropped` tags."""


class _Known(NamedTuple):
    """The result for a section of tags, which does not depend on the name."""

    dimensions: tuple[Pair, ...]
    overflow: tuple[Pair, ...]
    dropped: int
    is_rewritten: bool


class FastPath:
    """State: a cache of recent sections of tags with their results; the classes of names belong to the namer.

    Args:
        prefixes: class -> prefix of its names.
        reserved: reserved prefix; names that begin with it take the general path.
        classes: owners of bare names.
        defaults: legal pairs of `[tags]`.
        overflow: returns the dimensions of the overflow series for the pairs of a section.
        count: called for each identity that is sent changed.
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

    def resolve(self, identity: Identity) -> Resolution | None:
        """Return the series of an identity; None if the general path must decide."""
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
