"""Maps the old daemon's names to the relay's with the relay's own namer and rules. Pure.

Totals are compared for each metric, summed over all tags on both sides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from relay.model import Identity, Kind, NoSeries, Resolution
from relay.tools.compare.namespaces import OldKey
from relay.tools.compare.totals import Gauge, OldTotals, Sum

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from relay.naming import Namer
    from relay.tools.compare.namespaces import Namespaces

OWN: Final = "of the old daemon itself"
_SINKS: Final = {"rule": "dropped by a rule", "reserved_name": "reserved for the relay"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMapping:
    """State: the number of names left out, by reason."""

    namers: Mapping[Kind, Namer]
    """One namer for each class, so that classes do not compete for a bare name."""
    namespaces: Namespaces
    relay: Container[str]
    """The metrics that the relay has."""
    left_out: Counter[str] = field(default_factory=Counter)

    def rename(self, old: OldTotals) -> OldTotals:
        """Return the totals by the relay's names, without tags; totals that get the same name are merged."""
        found, names = OldTotals(), {key[:2] for part in (old.sums, old.gauges, old.sets) for key in part}
        metrics = {name: self._metric(*name) for name in names}
        for key, one in old.sums.items():
            if metric := metrics[key[:2]]:
                found.sums.setdefault(OldKey(key.kind, metric, key.statistic), Sum()).merge(one)
        for key, gauge in old.gauges.items():
            if metric := metrics[key[:2]]:
                found.gauges.setdefault(OldKey(key.kind, metric), Gauge(0.0, 0.0)).merge(gauge)
        for key, most in old.sets.items():
            if metric := metrics[key[:2]]:
                found.sets[OldKey(key.kind, metric)] = found.sets.get(OldKey(key.kind, metric), 0.0) + most
        found.sampled = {metrics.get((Kind.TIMER, name), "") for name in old.sampled}
        return found

    def _metric(self, kind: Kind, name: str) -> str:
        """Return the relay's name of a metric without a class suffix; empty if the metric is left out."""
        path, *tags = name.split(";")
        section = ",".join(tag.replace("=", ":", 1) for tag in tags)
        answer = self.namers[kind].resolve(Identity(path.encode(), kind, section.encode()))
        metric = answer.series.metric if isinstance(answer, Resolution) else ""
        if self.namespaces.is_own(path, is_known=metric in self.relay):
            self.left_out[OWN] += 1
            return ""
        if isinstance(answer, NoSeries):
            self.left_out[_SINKS.get(answer.reason, answer.reason)] += 1
        return metric
