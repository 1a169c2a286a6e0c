"""Which class owns a bare name, when one name is used with several classes.

The service has one key for `x` the counter and `x` the timer, so the bare name belongs to the class first seen and the
others are sent as `x.timer`. Ownership survives restarts: a series must not change its name because the relay did.
A name in two namespaces is two names.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


class Classes:
    """State: name -> class, least recently resolved first, at most `limit`; `metric`, or `metric namespace`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._owners: OrderedDict[str, Kind] = OrderedDict()
        """Ordered: taking the first of a dict walks over all that were taken before."""
        self._exported: bytes | None = None

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
        self._exported = None
        if len(self._owners) >= self._limit:
            self._owners.popitem(last=False)
        self._owners[name] = kind
        return kind

    def look(self, metric: str, kind: Kind, namespace: str = "") -> Kind:
        """Return what `owner` would, and change nothing."""
        return self._owners.get(f"{metric} {namespace}" if namespace else metric, kind)

    def export(self) -> bytes:
        """Return every owner as lines `class metric [namespace]`; the same object while nothing is new."""
        if self._exported is None:
            self._exported = "\n".join(f"{kind} {name}" for name, kind in self._owners.items()).encode()
        return self._exported

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
