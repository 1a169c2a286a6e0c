"""What StatsD daemons call their values in Graphite, and how to tell from a flush which of the ways it is.

| | statsd/statsd, legacy | statsd/statsd, else, and gostatsd |
|---|---|---|
| counter | `stats_counts.NAME` (and `stats.NAME`: per second) | `stats.counters.NAME.count` (and `.rate`) |
| timer | `stats.timers.NAME.STATISTIC` | the same |
| gauge | `stats.gauges.NAME` | the same |
| set | `stats.sets.NAME.count` | the same; gostatsd without `.count` |

In the second, every part may be renamed, and in both a suffix may follow. statsd always sends counters of its own, one
of which has a name that nobody else uses: where it is says what the parts are called. Tags follow as `;key=value`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LEGACY: Final = "stats_counts"
_OWN_COUNTER: Final = re.compile(r"(?:(?P<space>.+)\.)?(?P<own>[^.]+)\.packets_received(?P<rest>\..*)?")
_OWN_GAUGE: Final = re.compile(r"(?:(?P<space>.+)\.)?[^.]+\.timestamp_lag(?:\..*)?")
WORDS: Final = {Kind.COUNTER: "counters", Kind.TIMER: "timers", Kind.GAUGE: "gauges", Kind.SET: "sets"}
_KNOWN: Final = re.compile(r"(?:(?P<prefix>.+?)\.)?(?:counters|timers|gauges|sets)\..+")
_STATISTICS: Final = frozenset(("count", "sum", "mean"))
_OWN: Final = frozenset(("bad_lines_seen", "packets_received", "metrics_received", "timestamp_lag"))
"""statsd's own; gostatsd has more, and other ones in each release."""


class OldKey(NamedTuple):
    """Which value of which metric of the old daemon."""

    kind: Kind
    name: str
    """With its tags, as they came: `;key=value`."""
    statistic: str = ""
    """Of a timer: count, sum or mean."""


def under(prefix: str) -> dict[Kind, str]:
    """Return the usual namespaces below a prefix, which may be empty."""
    return {kind: f"{prefix}.{word}" if prefix else word for kind, word in WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """What stands before and behind the names of each class."""

    spaces: Mapping[Kind, str]
    counter_end: str = ""
    """What follows a counter's name, `.count` or nothing."""
    suffix: str = ""
    """Behind everything but the tags, with its dot."""
    own: str = "statsd"
    """What the names of the daemon's own metrics begin with."""

    def read(self, full: str) -> OldKey | None:
        """Return which value a name of Graphite is; None if it is none that is compared."""
        path, semicolon, tags = full.partition(";")
        if not path.endswith(self.suffix):
            return None
        path = path.removesuffix(self.suffix)
        for kind, space in sorted(self.spaces.items(), key=lambda item: -len(item[1])):
            if not space or path.startswith(f"{space}."):
                found = self._value(kind, path[len(space) + bool(space) :])
                return found and found._replace(name=found.name + semicolon + tags)
        return None

    def _value(self, kind: Kind, rest: str) -> OldKey | None:
        name, statistic = rest, ""
        if kind is Kind.TIMER:
            name, _, statistic = rest.rpartition(".")
            name = name if statistic in _STATISTICS else ""
        elif kind is Kind.COUNTER:
            name = rest.removesuffix(self.counter_end) if rest.endswith(self.counter_end) else ""
        elif kind is Kind.SET:
            name = rest.removesuffix(".count")
        return OldKey(kind, name, statistic) if name else None

    def is_own(self, name: str, *, is_known: bool) -> bool:
        """Say whether a metric is the daemon's own; a user's may begin like those, and then the relay knows it too."""
        begins_so = name.startswith(f"{self.own}.")
        return begins_so and (not is_known or name.removeprefix(f"{self.own}.") in _OWN)


def find_namespaces(
    names: Iterable[str], *, said: Mapping[Kind, str] | None = None, suffix: str = ""
) -> Namespaces | None:
    """Return how a daemon names its values; None if nobody says it and none of the names tells.

    Args:
        names: of a flush, in full.
        said: by a person, of some classes or all; it holds, whatever the names tell.
        suffix: likewise, without its dot.
    """
    paths = [name.partition(";")[0] for name in names]
    found = _detect(paths)
    if not said and not suffix:
        return found
    found = found or Namespaces(spaces=under("stats"), counter_end=".count")
    end = f".{suffix}" if suffix else found.suffix
    counter_end = found.counter_end
    if said and Kind.COUNTER in said:
        space = f"{said[Kind.COUNTER]}."
        counter_end = (
            ".count" if any(path.startswith(space) and path.endswith(f".count{end}") for path in paths) else ""
        )
    return replace(found, spaces={**found.spaces, **(said or {})}, suffix=end, counter_end=counter_end)


def _detect(paths: list[str]) -> Namespaces | None:
    if any(path.startswith(f"{_LEGACY}.") for path in paths):
        own = _find(_OWN_COUNTER, (path for path in paths if path.startswith(f"{_LEGACY}.")))
        spaces = {**under("stats"), Kind.COUNTER: _LEGACY}
        return Namespaces(spaces=spaces, **({"suffix": own["rest"] or "", "own": own["own"]} if own else {}))
    own = _find(_OWN_COUNTER, (path for path in paths if ".packets_received.count" in path))
    if own:
        counters, gauge = own["space"] or "", _find(_OWN_GAUGE, paths)
        spaces = {**under(counters.rpartition(".")[0]), Kind.COUNTER: counters}
        spaces |= {Kind.GAUGE: gauge["space"] or ""} if gauge else {}
        suffix = own["rest"].removeprefix(".count")
        return Namespaces(spaces=spaces, counter_end=".count", suffix=suffix, own=own["own"])
    known = _find(_KNOWN, paths)
    return Namespaces(spaces=under(known["prefix"] or ""), counter_end=".count") if known else None


def _find(pattern: re.Pattern[str], paths: Iterable[str]) -> re.Match[str] | None:
    return next(filter(None, map(pattern.fullmatch, paths)), None)
