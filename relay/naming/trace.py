"""The steps of naming for one identity (`Trace`), the hits of rules (`RuleHits`), and the origins of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.model import Resolution
from relay.naming.characters import clean_name, clean_pairs
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.model import Kind, NoSeries, Series
    from relay.naming.dimensions import Pair

_KEPT: Final = 100
_ORIGINS_MOST: Final = 10_000
_SHOWN: Final = 120
"""Most characters of a user's text in the log."""


class Trace(NamedTuple):
    """The steps from an identity to its series, or to the reason why it has none."""

    name: str
    """Name as received, without inline tags; rules match this."""
    inline: Sequence[Pair]
    """Inline tags of the name, as received."""
    section: Sequence[Pair]
    """Tags after `|#`, as received; they override inline tags with the same key."""
    rule: int
    """Number of the matching rule, from 1; 0: none."""
    captures: Sequence[str]
    metric: str
    """Name after the rule, before illegal characters are replaced and prefixes are added."""
    removed: Sequence[str]
    """Keys of tags that the rule removed."""
    unsent: Sequence[str]
    """Keys of tags that exceed the API's limits and are not sent."""
    is_rewritten: bool
    """Whether the metric or a tag had characters that the API refuses."""
    outcome: Resolution | NoSeries
    unread: int = 0
    """Number of tags of the section beyond the limit of tags that are read."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Identities that no rule matched."""

    count: int
    names: Sequence[str]
    """The newest distinct names, newest first."""


def rewritten_example(trace: Trace) -> dict[str, str]:
    """Return the log fields of a rewritten identity: its metric, the text received, and what it became."""
    metric = _metric(trace)
    if clean_name(trace.metric) != trace.metric:
        return {"metric": metric, "received": _shown(trace.name), "sent_as": metric}
    tags = [*trace.inline, *trace.section]
    for tag, clean in zip(tags, clean_pairs(tags), strict=True):
        if clean != tag:
            return {"metric": metric, "received": _shown(":".join(tag)), "sent_as": _shown(":".join(clean))}
    return {"metric": metric}


def unsent_example(trace: Trace) -> dict[str, str]:
    """Return the log fields of an identity with too many tags: its metric, the keys kept, and those that were not."""
    kept = trace.outcome.series.dimensions if isinstance(trace.outcome, Resolution) else ()
    more = f"{trace.unread} behind those that are read" if trace.unread else ""
    unsent = " and ".join(filter(None, (_shown(" ".join(trace.unsent)), more)))
    return {"metric": _metric(trace), "kept": _shown(" ".join(key for key, _ in kept)), "not_sent": unsent}


def _metric(trace: Trace) -> str:
    return trace.outcome.series.metric if isinstance(trace.outcome, Resolution) else ""


def _shown(text: str) -> str:
    """Return a user's text for the log: cut, with unprintable characters escaped."""
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return printable(cut)


class RuleHits:
    """State: the number of identities that matched each rule, and the newest names that matched none."""

    def __init__(self, rules: int) -> None:
        self.by_rule = [0] * rules
        self._count = 0
        self._names: dict[str, None] = {}

    def add(self, rule: int, name: str) -> None:
        """Count an identity; `rule` is 0 if none matched. Without rules nothing is counted."""
        if rule:
            self.by_rule[rule - 1] += 1
        elif self.by_rule:
            self._count += 1
            shown = name[: limits.NAME_BYTES]
            self._names.pop(shown, None)
            self._names[shown] = None
            if len(self._names) > _KEPT:
                del self._names[next(iter(self._names))]

    @property
    def unmatched(self) -> Unmatched:
        """The identities that matched no rule."""
        return Unmatched(self._count, tuple(reversed(self._names)))


class MetricOrigin(NamedTuple):
    """What became a metric last."""

    name: str
    """As received, without inline tags; "": the metric without the prefix."""
    rule: int
    """Number of the rule, from 1; 0: none."""


_UNCHANGED: Final = MetricOrigin("", 0)


class MetricOrigins:
    """State: the origin of each metric that a rule made, or that has another name than the lines."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, Kind, str], MetricOrigin] = {}

    def add(self, series: Series, origin: MetricOrigin) -> None:
        """Record what became a series; the oldest metric makes room."""
        key, origins = (series.metric, series.kind, series.namespace), self._origins
        origins.pop(key, None)
        origins[key] = origin
        if len(origins) > _ORIGINS_MOST:
            del origins[next(iter(origins))]

    def get(self, metric: tuple[str, Kind, str]) -> MetricOrigin:
        """Return what became a metric last."""
        return self._origins.get(metric, _UNCHANGED)
