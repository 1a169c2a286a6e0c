"""Owners of bare names: the class (counter, timer, ...) that uses a name without a suffix.

The service has one key for a counter `x` and a timer `x`. So the bare name belongs to the class that used it first, and
the others get a suffix: `x.timer`. Invariant: ownership survives restarts and reloads, so that a series keeps its name.
The same name in two namespaces is two names.

Bounded in number and in bytes (I6), since senders choose names freely. Does not know: rules, dimensions, files.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_OVERHEAD: Final = 150
"""Bytes of an entry without the bytes of its name: measured."""
_EXPORTED: Final = 1_000
"""Names in one part of an export: less than a millisecond of work."""


class Classes:
    """State: name -> owner class, least recently resolved first; a name is `metric` or `metric namespace`.

    Args:
        limit: most names.
        memory: most bytes.
    """

    def __init__(self, limit: int, memory: int) -> None:
        self._limit = limit
        self._memory = memory
        self._bytes = 0
        self._owners: OrderedDict[str, Kind] = OrderedDict()
        """An OrderedDict: popping the first item of a dict walks over all slots freed before."""

    def owner(self, metric: str, kind: Kind, namespace: str = "") -> Kind:
        """Return the class that owns `metric` in a namespace; an unowned name becomes owned by `kind`."""
        name = f"{metric} {namespace}" if namespace else metric
        owner = self._owners.get(name)
        if owner is not None:
            self._owners.move_to_end(name)
            return owner
        self._owners[name] = kind
        self._bytes += len(name) + _OVERHEAD
        self._make_room()
        return kind

    def _make_room(self) -> None:
        while len(self._owners) > self._limit or self._bytes > self._memory:
            evicted, _ = self._owners.popitem(last=False)
            self._bytes -= len(evicted) + _OVERHEAD

    def adopt(self, other: Classes) -> None:
        """Adopt the owners of another instance, within our own bounds."""
        self._owners, self._bytes = other._owners, other._bytes
        self._make_room()

    def owner_if_known(self, metric: str, kind: Kind, namespace: str = "") -> Kind:
        """Return what `owner` would return; changes nothing."""
        return self._owners.get(f"{metric} {namespace}" if namespace else metric, kind)

    def export(self) -> Iterator[bytes]:
        """Yield every owner as a line `class metric [namespace]`, in parts; names added meanwhile may be missing."""
        names = list(self._owners)
        for first in range(0, len(names), _EXPORTED):
            known = [(name, self._owners.get(name)) for name in names[first : first + _EXPORTED]]
            yield "".join([f"{kind} {name}\n" for name, kind in known if kind]).encode()

    def load(self, exported: bytes) -> None:
        """Load lines of `export`; unreadable lines are skipped, at worst a name then changes its owner."""
        for metric, kind, namespace in _read(exported):
            self.owner(metric, kind, namespace)


_KINDS = frozenset(Kind)


def _read(exported: bytes) -> Iterator[tuple[str, Kind, str]]:
    for line in exported.decode("ascii", "replace").splitlines():
        kind, _, name = line.partition(" ")
        metric, _, namespace = name.partition(" ")
        if metric and kind in _KINDS:
            yield metric, Kind(kind), namespace
