"""Naming: a raw identity becomes a legal series, once per new identity.

Owned here: characters, inline tags, default tags, which five tags, lengths, name classes. The invariant (I4): whatever
bytes come in, the metric and the dimensions that go out satisfy putMetricData. Names are made legal and cut to size
BEFORE they become the key of aggregation, so identities that meet are merged and never collide at the cloud.

Pure: no clock, no I/O, no randomness. Not known here: windows, values, who sent what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay import limits
from relay.model import Identity, Kind, Resolution, Series, Sink
from relay.naming.characters import clean_name, is_legal
from relay.naming.classes import Classes
from relay.naming.dimensions import choose, legal_pairs
from relay.naming.tags import section_tags, split_inline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class Notices(Protocol):
    """What naming counts: identities, not lines."""

    names_rewritten: int
    tags_dropped: int


class Namer:
    """State: which class owns which bare name; two notices."""

    def __init__(  # noqa: PLR0913 - the settings of three sections; app.py is the only caller
        self,
        *,
        prefix: str,
        tags: Mapping[str, str],
        dialects: Collection[str],
        strict: bool,
        reserved_prefix: str,
        classes_limit: int,
        notices: Notices,
    ) -> None:
        self._prefix = f"{clean_name(prefix)}." if clean_name(prefix) else ""
        self._defaults = legal_pairs(tags.items())
        self._dialects = frozenset(dialects)
        self._strict = strict
        self._reserved = reserved_prefix
        self._classes = Classes(classes_limit)
        self._notices = notices

    def __repr__(self) -> str:
        """Report the classes."""
        return f"<Namer {self._classes!r}>"

    def resolve(self, identity: Identity) -> Resolution | Sink:
        """Answer for one identity: the series it belongs to, or why there is none."""
        raw, tags = split_inline(identity.name.decode("utf-8", "replace"), self._dialects)
        name = clean_name(raw)
        if not name:
            return Sink("empty_name", rejects=True)
        if self._strict and name != raw:
            return Sink("no_legal_name", rejects=False)
        full = self._prefix + name
        if full.startswith(f"{self._reserved}."):
            return Sink("reserved_name", rejects=True)
        if "dogstatsd" in self._dialects:
            tags.extend(section_tags(identity.tags.decode("utf-8", "replace")))
        pairs = legal_pairs(tags)
        series = self._series(full, identity.kind, pairs)
        self._note(rewritten=name != raw or not _are_legal(tags), dropped=_missing(pairs, series))
        return Resolution(series, series._replace(dimensions=self._overflow_dimensions(pairs)))

    def overflow(self, kind: Kind) -> Series:
        """Return the series of last resort for a class, under the reserved prefix, where nobody else can write."""
        metric = limits.fit(f"{self._reserved}.overflow", f".{kind}")
        return Series(metric, self._overflow_dimensions({}), kind)

    def export_classes(self) -> bytes:
        """Return which class owns which bare name, for the state directory."""
        return self._classes.export()

    def take_over(self, other: Namer) -> None:
        """Go on with the name classes of a namer that ends: a series must not change its name because rules did."""
        self._classes = other._classes

    def load_classes(self, exported: bytes) -> None:
        """Take back what `export_classes` returned before a restart."""
        self._classes.load(exported)

    def learn(self, owners: Iterable[tuple[str, Kind, str]]) -> None:
        """Take (metric, class, namespace) of series that were named before the relay died."""
        for metric, kind, namespace in owners:
            self._classes.owner(metric, kind, namespace)

    def _series(self, full: str, kind: Kind, pairs: Mapping[str, str]) -> Series:
        dimensions = choose(pairs, self._defaults)
        metric = limits.fit(full)
        if self._classes.owner(metric, kind) == kind:
            return Series(metric, dimensions, kind)
        return Series(limits.fit(full, f".{kind}"), dimensions, kind, derived=True)

    def _overflow_dimensions(self, pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        host = {"host": pairs["host"]} if "host" in pairs else {}
        default = {"host": self._defaults["host"]} if "host" in self._defaults else {}
        # A host of 249 bytes would leave no room for the mark: the mark matters more.
        return choose(
            {"overflow": "true"}, {key: limits.fit(value, limit=200) for key, value in {**default, **host}.items()}
        )

    def _note(self, *, rewritten: bool, dropped: int) -> None:
        self._notices.names_rewritten += rewritten
        self._notices.tags_dropped += dropped


def _are_legal(tags: list[tuple[str, str]]) -> bool:
    return all(is_legal(key) and is_legal(value) for key, value in tags)


def _missing(pairs: Mapping[str, str], series: Series) -> int:
    """Count the line's tags that did not become dimensions."""
    return len(pairs.keys() - {key for key, _ in series.dimensions})
