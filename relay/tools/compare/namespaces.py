"""The names of StatsD daemons in Graphite, and detection of the naming scheme from the names of a flush.

| | statsd/statsd, legacy | statsd/statsd, else, and gostatsd |
|---|---|---|
| counter | `stats_counts.NAME` (and `stats.NAME`: per second) | `stats.counters.NAME.count` (and `.rate`) |
| timer | `stats.timers.NAME.STATISTIC` | the same |
| gauge | `stats.gauges.NAME` | the same |
| set | `stats.sets.NAME.count` | the same; gostatsd without `.count` |

In the second scheme every part may be renamed, and in both a suffix may follow. statsd always sends its own counter
`packets_received`; the names around it show the prefixes and the suffix. Tags follow as `;key=value`.
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
"""statsd's own metrics; gostatsd has more, and others in each release."""


class OldKey(NamedTuple):
    """A value of a metric of the old daemon."""

    kind: Kind
    name: str
    """With its tags as received: `;key=value`."""
    statistic: str = ""
    """For a timer: count, sum or mean."""


def under(prefix: str) -> dict[Kind, str]:
    """Return the usual namespaces below a prefix, which may be empty."""
    return {kind: f"{prefix}.{word}" if prefix else word for kind, word in WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """A naming scheme: the prefixes and suffixes of the names of each class."""

    spaces: Mapping[Kind, str]
    """Prefix of each class, without its dot."""
    counter_end: str = ""
    """Suffix of a counter's name: `.count`, or empty."""
    suffix: str = ""
    """Suffix of every name, before the tags, with its dot."""
    own: str = "statsd"
    """Prefix of the daemon's own metrics."""

    def read(self, full: str) -> OldKey | None:
        """Return the value that a Graphite name stands for; None if it is not compared."""
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
        """Say whether a metric is the daemon's own.

        A user's metric may have the same prefix; then the relay has the metric too (`is_known`).
        """
        begins_so = name.startswith(f"{self.own}.")
        return begins_so and (not is_known or name.removeprefix(f"{self.own}.") in _OWN)


def find_namespaces(
    names: Iterable[str], *, given: Mapping[Kind, str] | None = None, suffix: str = ""
) -> Namespaces | None:
    """Return the naming scheme of a daemon; None if it is neither given nor detected.

    Args:
        names: the full names of a flush.
        given: prefixes given by the user for some or all classes; they take precedence over detected ones.
        suffix: suffix given by the user, without its dot; takes precedence too.
    """
    paths = [name.partition(";")[0] for name in names]
    found = _detect(paths)
    if not given and not suffix:
        return found
    found = found or Namespaces(spaces=under("stats"), counter_end=".count")
    end = f".{suffix}" if suffix else found.suffix
    counter_end = found.counter_end
    if given and Kind.COUNTER in given:
        space = f"{given[Kind.COUNTER]}."
        counter_end = (
            ".count" if any(path.startswith(space) and path.endswith(f".count{end}") for path in paths) else ""
        )
    return replace(found, spaces={**found.spaces, **(given or {})}, suffix=end, counter_end=counter_end)


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
