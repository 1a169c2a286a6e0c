"""Which class owns a bare name, when one name is used with several classes.

The service has one key for `x` the counter and `x` the timer, so the bare name belongs to the class first seen and the
others are sent as `x.timer`. Ownership survives restarts: a series must not change its name because the relay did.
A name in two namespaces is two names.

Names are as many and as long as senders like: they are bounded in number and in bytes (I6).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_OVERHEAD: Final = 150
"""Bytes of an entry besides its name's own: measured."""
_EXPORTED: Final = 1_000
"""Names in a part: less than a millisecond."""


class Classes:
    """State: name -> class, least recently resolved first; `metric`, or `metric namespace`.

    Args:
        limit: names.
        memory: bytes.
    """

    def __init__(self, limit: int, memory: int) -> None:
        self._limit = limit
        self._memory = memory
        self._bytes = 0
        self._owners: OrderedDict[str, Kind] = OrderedDict()
        """Ordered: taking the first of a dict walks over all that were taken before."""

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Classes {len(self._owners)} names>"

    def owner(self, metric: str, kind: Kind, namespace: str = "") -> Kind:
        """Return the class that owns `metric` in a namespace; `kind` takes it if nobody does."""
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
            forgotten, _ = self._owners.popitem(last=False)
            self._bytes -= len(forgotten) + _OVERHEAD

    def take_over(self, other: Classes) -> None:
        """Go on with what another one knows, within bounds of its own."""
        self._owners, self._bytes = other._owners, other._bytes
        self._make_room()

    def look(self, metric: str, kind: Kind, namespace: str = "") -> Kind:
        """Return what `owner` would, and change nothing."""
        return self._owners.get(f"{metric} {namespace}" if namespace else metric, kind)

    def export(self) -> Iterator[bytes]:
        """Yield every owner as lines `class metric [namespace]`, in parts; what is new meanwhile may be left out."""
        names = list(self._owners)
        for first in range(0, len(names), _EXPORTED):
            known = [(name, self._owners.get(name)) for name in names[first : first + _EXPORTED]]
            yield "".join([f"{kind} {name}\n" for name, kind in known if kind]).encode()

    def load(self, exported: bytes) -> None:
        """Take back what `export` returned; unreadable lines are skipped, they only cost a suffix."""
        for metric, kind, namespace in _read(exported):
            self.owner(metric, kind, namespace)


_KINDS = frozenset(Kind)


def _read(exported: bytes) -> Iterator[tuple[str, Kind, str]]:
    for line in exported.decode("ascii", "replace").splitlines():
        kind, _, name = line.partition(" ")
        metric, _, namespace = name.partition(" ")
        if metric and kind in _KINDS:
            yield metric, Kind(kind), namespace
