"""All that is known of one name, as received or as sent: its rule, its series, its newest points, or why it has none.

It always answers: a name is sent, dropped by a rule, refused by naming, or it never came; then similar names are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from relay.admin.answers.series import NameAnswer, OneSeries, OpenSeries, RuleOfName, SentPoint
from relay.clock import paced
from relay.daemon.cardinality.near import near_names
from relay.daemon.cardinality.sent_points import POINTS_MOST, PointKey, find_points
from relay.daemon.cardinality.survey import OVERFLOW
from relay.model import Identity, Kind, Metric, NoSeries, Resolution, Rollup
from relay.wording import as_hour, as_time, number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from relay.daemon.app import Relay
    from relay.daemon.cardinality.growth import MetricHistory
    from relay.daemon.cardinality.survey import Surveyor
    from relay.model import Series
    from relay.naming.trace import Trace

_SERIES_LISTED: Final = 5
_ROWS_MOST: Final = 1000
"""Series of the open window among which those with the most samples are listed."""
_NAMES_MOST: Final = 10_000
"""Names that are compared with a name that never came."""
_REFUSED: Final = {
    "empty_name": "no legal character is left of it: lines with it are rejected (empty_name)",
    "reserved_name": "it is under the prefix of the relay's own metrics: lines with it are rejected (reserved_name)",
    "no_legal_name": 'it has illegal characters, and [listen] names = "strict" drops such samples (no_legal_name)',
}


@dataclass(slots=True, kw_only=True)
class _Found:
    """State: what was found of a series."""

    kind: Kind | None = None
    rollup: Rollup | None = None
    points: list[SentPoint] = field(default_factory=list)

    @property
    def order(self) -> tuple[int, str]:
        """Those with the most samples come first, then those with the newest point."""
        return (self.rollup.samples if self.rollup else 0, self.points[0].window if self.points else "")


class NameLookup:
    """State: none; it reads the relay."""

    def __init__(self, relay: Relay, surveyor: Surveyor, history: MetricHistory) -> None:
        self._relay, self._surveyor, self._history = relay, surveyor, history
        self._clock = relay.context.clock

    async def describe(self, name: str) -> NameAnswer:
        """Return what is known of a name."""
        text = name.encode("utf-8", "surrogateescape")
        traces = {kind: self._relay.namer.trace(Identity(text, kind, b"")) for kind in Kind}
        metrics = await self._metrics(name, traces)
        found = await self._find(name, traces, metrics)
        listed = sorted(found.items(), key=lambda item: item[1].order, reverse=True)[:_SERIES_LISTED]
        has_overflow = any(OVERFLOW in key.dimensions for key in found)
        verdict, sentence, near = await self._verdict(name, traces, found)
        return NameAnswer(
            name=name,
            verdict=verdict,
            sentence=sentence,
            code="RLY310" if has_overflow else "",
            metrics=sorted({key.metric for key in found}),
            received=sorted({self._relay.namer.received_name(metric) for metric in metrics}),
            rules=self._rules(traces),
            open=as_time(self._relay.closer.open_id),
            series=[self._series(key, one, alone=len(found) == 1) for key, one in listed],
            others=len(found) - len(listed),
            near=near,
            last_packet=self._last_packet(),
        )

    # --- what there is ------------------------------------------------------------------------------------------------

    async def _metrics(self, name: str, traces: Mapping[Kind, Trace]) -> set[Metric]:
        """Return the metrics of the newest windows that have this name as sent, or that a line of this name becomes."""
        survey = await self._surveyor.survey()
        counts = set(chain.from_iterable(window.counts.series for window in self._history.windows()))
        known = {_metric_of(one.series) for trace in traces.values() if (one := _resolution(trace))}
        found = {metric for metric in known if metric in survey.metrics or metric in counts}
        async for key in paced(self._clock, chain(survey.metrics, counts)):
            if key[0] == name:
                found.add(Metric(*key))
        return found

    async def _find(
        self, name: str, traces: Mapping[Kind, Trace], metrics: Collection[Metric]
    ) -> dict[PointKey, _Found]:
        """Return the series in the open window and in the history of requests."""
        names = {name, *(metric.name for metric in metrics)}
        names |= {one.series.metric for trace in traces.values() if (one := _resolution(trace))}
        found: dict[PointKey, _Found] = {}
        for series, rollup in await self._surveyor.rows_of(names, _ROWS_MOST) if metrics else ():
            found[self._key(series)] = _Found(kind=series.kind, rollup=rollup)
        for key, points in (await find_points(self._relay.requests, names, self._clock)).items():
            found.setdefault(key, _Found()).points = points
        return found or {self._key_of(metric): _Found(kind=metric.kind) for metric in metrics}

    def _key_of(self, metric: Metric) -> PointKey:
        """Return the key of a metric of which the windows alone are known, not its dimensions."""
        return PointKey(metric.name, metric.namespace or self._relay.config.cloud.namespace, ())

    def _key(self, series: Series) -> PointKey:
        return PointKey(series.metric, series.namespace or self._relay.config.cloud.namespace, series.dimensions)

    def _series(self, key: PointKey, found: _Found, *, alone: bool) -> OneSeries:
        waiting = self._waiting(key, found) if alone else []
        points = sorted([*found.points, *waiting], key=lambda point: point.window, reverse=True)
        return OneSeries(
            metric=key.metric,
            namespace=key.namespace,
            type=found.kind,
            dimensions=dict(key.dimensions),
            open=_open(found.rollup) if found.rollup else None,
            points=points[:POINTS_MOST],
        )

    def _waiting(self, key: PointKey, found: _Found) -> list[SentPoint]:
        """Return a point for each of the newest windows that has the metric and is not delivered yet."""
        known = {point.window for point in found.points}
        return [
            SentPoint(window=as_time(start), values={}, outcome="waiting", at=None, request_id="", detail="")
            for start in self._undelivered(key.metric)
            if as_time(start) not in known
        ]

    def _undelivered(self, name: str) -> Iterator[int]:
        records = self._relay.context.ledger.windows
        for window in self._history.windows():
            record = records.get(window.start)
            if record and record.waiting and any(key[0] == name for key in window.counts.series):
                yield window.start

    # --- the verdict --------------------------------------------------------------------------------------------------

    async def _verdict(
        self, name: str, traces: Mapping[Kind, Trace], found: Mapping[PointKey, _Found]
    ) -> tuple[str, str, list[str]]:
        """Return the word, the sentence, and similar names."""
        outcomes = [trace.outcome for trace in traces.values()]
        if found:
            return "sent", _sent_sentence(found), []
        if any(isinstance(one, NoSeries) and one.reason == "rule" for one in outcomes):
            return "dropped", self._dropped_sentence(traces), []
        if isinstance(outcomes[0], NoSeries):
            return "refused", _REFUSED.get(outcomes[0].reason, outcomes[0].reason), []
        near = await near_names(name, await self._known_names(), self._clock)
        return "never", f"{self._since()}{_near(near)}", near

    def _dropped_sentence(self, traces: Mapping[Kind, Trace]) -> str:
        rules = [rule for rule in self._rules(traces) if rule.drops]
        dropped = self._relay.hotpath.dropped_by_rule()
        return "; ".join(
            f"rule {rule.number} ({_place(rule)}) drops it; "
            f"it has dropped {plural(dropped.get(rule.number, 0), 'sample')} since it is in force"
            for rule in rules
        )

    def _since(self) -> str:
        """Return for how long the name did not come, as far as the relay remembers."""
        oldest = min((request.window for request in self._relay.requests), default=None)
        started = self._clock.wall() - self._relay.status.uptime
        if oldest is None or oldest <= started:
            return "never received"
        return f"not received since {as_hour(oldest)}"

    async def _known_names(self) -> list[str]:
        survey = await self._surveyor.survey()
        namer = self._relay.namer
        names = (
            namer.received_name(metric, is_derived=one.is_derived)
            for metric, one in islice(survey.metrics.items(), _NAMES_MOST)
        )
        return list(dict.fromkeys([*[name async for name in paced(self._clock, names)], *namer.unmatched.names]))

    def _rules(self, traces: Mapping[Kind, Trace]) -> list[RuleOfName]:
        kinds: dict[int, list[Kind]] = {}
        for kind, trace in traces.items():
            if trace.rule:
                kinds.setdefault(trace.rule, []).append(kind)
        rules = self._relay.config.rule
        return [
            RuleOfName(
                number=rule_number,
                pattern=rules[rule_number - 1].match or rules[rule_number - 1].regex,
                place=self._relay.in_force.origins.get(f"rule.{rule_number}", ""),
                types=types,
                drops=rules[rule_number - 1].action == "drop",
            )
            for rule_number, types in sorted(kinds.items())
        ]

    def _last_packet(self) -> float | None:
        last = self._relay.hotpath.tally().last_at
        return max(0.0, self._clock.wall() - last) if last else None


def _place(rule: RuleOfName) -> str:
    """Return where a rule stands: its line in the file, and what it matches."""
    line = rule.place.rpartition(":")[2]
    return f'{f"line {line}, " if line.isdecimal() else ""}"{printable(rule.pattern)}"'


def _resolution(trace: Trace) -> Resolution | None:
    return trace.outcome if isinstance(trace.outcome, Resolution) else None


def _metric_of(series: Series) -> Metric:
    return Metric(series.metric, series.kind, series.namespace)


def _open(rollup: Rollup) -> OpenSeries:
    return OpenSeries(
        samples=rollup.samples,
        count=rollup.count,
        sum=rollup.sum,
        min=rollup.min,
        max=rollup.max,
        last=rollup.last,
    )


def _near(names: list[str]) -> str:
    return f"; near: {', '.join(map(printable, names))}" if names else ""


def _sent_sentence(found: Mapping[PointKey, _Found]) -> str:
    overflow = [one for key, one in found.items() if OVERFLOW in key.dimensions]
    if not overflow:
        return f"{number(len(found))} series"
    windows = sorted(point.window for one in overflow for point in one.points)
    since = f" since {as_hour(datetime.fromisoformat(windows[0]).timestamp())}" if windows else ""
    return f"in overflow{since}, RLY310: it has more series than [limits] allow"
