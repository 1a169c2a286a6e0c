"""What the admin port answers about series: the table of metrics, and the tags of the open window.

The numbers of series are those of the last closed window; tags, examples and rates are of a walk over the open one.
Building a table is paced: the event loop is not held, whatever the number of metrics.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import translate
from heapq import heappush, heapreplace, nlargest
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.admin.answers.series import (
    LimitAhead,
    MetricAnswer,
    NameAnswer,
    OtherMetrics,
    RuleProposal,
    SeriesAnswer,
    TagAnswer,
    TagCount,
    TagsAnswer,
)
from relay.clock import paced
from relay.daemon.cardinality.growth import CountedWindow, MetricHistory
from relay.daemon.cardinality.one_name import NameLookup
from relay.daemon.cardinality.proposal import Proposal, Removal, propose, rule_as_toml
from relay.daemon.cardinality.rules import RuleTotals
from relay.daemon.cardinality.survey import MetricSurvey, Surveyor
from relay.model import Metric
from relay.wording import as_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.admin.answers.rules import RuleFigures
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.daemon.cardinality.growth import ApproachingLimit
    from relay.daemon.cardinality.survey import Survey, TagSurvey
    from relay.ledger import MetricKey
    from relay.window.protocols import WindowReport

_TAGS_SHOWN: Final = 5
_PROPOSAL_KEPT: Final = 60.0
"""Seconds for which a proposal is kept."""
_SAVED_LEAST: Final = 20
_SAVED_SHARE: Final = 0.5
"""A rule is proposed if one tag has this many values, and as many as this share of the metric's series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """A metric while its place in the table is sought."""

    metric: MetricKey
    series: int
    growth: float | None
    samples: int
    found: MetricSurvey | None

    @property
    def most_values(self) -> int:
        """Distinct values of its tag with the most."""
        return self.found.tags[0].values if self.found and self.found.tags else 0


ORDERS: Final[dict[str, Callable[[MetricRow], float]]] = {
    "series": lambda row: row.series,
    "growth": lambda row: row.growth or 0.0,
    "samples": lambda row: row.samples,
    "tags": lambda row: row.most_values,
}


class KeptProposal(NamedTuple):
    """A proposal, and what it was made for."""

    wanted: Removal
    config: Config
    made_at: float
    """Monotonic time."""
    proposal: Proposal | None

    def serves(self, wanted: Removal, config: Config, *, series: int, now: float) -> bool:
        """Return whether the proposal answers a question: the same one, not long ago, about a similar number."""
        is_same = self.wanted == wanted and self.config is config and now < self.made_at + _PROPOSAL_KEPT
        return is_same and (self.proposal is None or 2 * self.proposal.before >= series)


class Selection:
    """State: the metrics with the most of something, and the sums over all that were offered."""

    def __init__(self, order: Callable[[MetricRow], float], top: int) -> None:
        self._order, self._top = order, top
        self._heap: list[tuple[float, int, MetricRow]] = []
        self.metrics = self._series = 0
        self._growth: float | None = None

    def offer(self, row: MetricRow) -> None:
        """Add a metric."""
        self.metrics += 1
        self._series += row.series
        if row.growth is not None:
            self._growth = (self._growth or 0.0) + row.growth
        entry = (self._order(row), -self.metrics, row)
        if len(self._heap) < self._top:
            heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapreplace(self._heap, entry)

    def listed(self) -> list[MetricRow]:
        """Return the metrics with the most; of equal ones the first that were offered."""
        return [row for _, _, row in sorted(self._heap, key=itemgetter(0, 1), reverse=True)]

    def others(self, listed: Sequence[MetricRow], total: int) -> OtherMetrics:
        """Return the sums over the metrics that are not listed; `total`: the number of all series."""
        series = self._series - sum(row.series for row in listed)
        growth = None if self._growth is None else self._growth - sum(row.growth or 0.0 for row in listed)
        return OtherMetrics(
            metrics=self.metrics - len(listed), series=series, share=series / total if total else 0.0, growth=growth
        )


class Cardinality:
    """State: the counts of the newest windows, the newest walk, and the newest proposal."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._clock = relay.context.clock
        self.history = MetricHistory()
        self.surveyor = Surveyor(
            relay.hotpath,
            lambda: relay.closer.open_id,
            seconds=relay.config.window.seconds,
            clock=self._clock,
        )
        self._rule_totals = RuleTotals()
        self._lookup = NameLookup(relay, self.surveyor, self.history)
        self._opened_at = self._clock.wall()
        self._proposed: KeptProposal | None = None
        self._proposing = asyncio.Lock()

    def record(self, closed: WindowReport) -> None:
        """Record the counts of a window that is stored now."""
        self.history.add(CountedWindow(closed.start, closed.start >= self._opened_at, closed.metrics))
        self._rule_totals.record(closed.metrics, self._relay.namer)

    def approaching(self) -> list[ApproachingLimit]:
        """Return the limits that are reached within an hour at the present growth."""
        return self.history.approaching(self._relay.config.limits)

    def rules(self) -> dict[int, RuleFigures]:
        """Return what the rules took, by number from 1."""
        return self._rule_totals.figures(self._relay.namer, self._relay.hotpath.dropped_by_rule())

    async def describe(self, name: str) -> NameAnswer:
        """Return what is known of a name, as received or as sent."""
        return await self._lookup.describe(name)

    # --- the table ----------------------------------------------------------------------------------------------------

    async def table(self, *, glob: str, by: str, top: int) -> SeriesAnswer:
        """Return the `top` metrics that match a glob (empty: all), most first."""
        survey = await self.surveyor.survey()
        selected = await self._select(glob, survey, Selection(ORDERS[by], top))
        listed = selected.listed()
        config, last, closed = self._relay.config, self.history.last, self._relay.context.ledger.windows.last
        total = last.counts.total if last else survey.series
        ahead = self.approaching()
        codes = {one.metric: "RLY310" if not one.seconds else "RLY311" for one in ahead if one.metric}
        rows = [self._answer(row, survey, total=total, codes=codes) async for row in paced(self._clock, listed)]
        return SeriesAnswer(
            window=as_time(last.start) if last else None,
            series=total,
            series_limit=config.limits.series,
            series_per_metric=config.limits.series_per_metric,
            growth=self.history.total_growth(),
            requests=closed.requests if closed else 0,
            requests_limit=config.cloud.requests_per_minute * config.window.seconds / 60,
            metrics=selected.metrics,
            rows=rows,
            others=selected.others(listed, total),
            ahead=[_limit(one) for one in ahead],
            proposal=await self._proposal(listed),
            walked_at=as_time(survey.at),
            walked_age=self._clock.monotonic() - survey.monotonic,
            walked=survey.series,
        )

    async def _select(self, glob: str, survey: Survey, selection: Selection) -> Selection:
        """Offer every metric that matches the glob to the selection."""
        matches = re.compile(translate(glob)).match if glob else None
        counts = self.history.last.counts if self.history.last else None
        keys: Iterable[MetricKey] = dict.fromkeys(chain(counts.series if counts else (), survey.metrics))
        async for key in paced(self._clock, keys):
            if matches is None or matches(key[0]):
                one = survey.metrics.get(key)  # type: ignore[call-overload]  # equal to a Metric of the same fields
                selection.offer(
                    MetricRow(
                        metric=key,
                        series=(counts.series.get(key) if counts else None) or (one.series if one else 0),
                        growth=self.history.growth(key),
                        samples=counts.samples.get(key, 0) if counts else (one.samples if one else 0),
                        found=one,
                    )
                )
        return selection

    def _answer(self, row: MetricRow, survey: Survey, *, total: int, codes: dict[Metric, str]) -> MetricAnswer:
        metric, found = Metric(*row.metric), row.found
        has_samples = found is not None and found.samples > 0
        return MetricAnswer(
            metric=metric.name,
            namespace=metric.namespace or self._relay.config.cloud.namespace,
            type=metric.kind,
            received=self._relay.namer.received_name(metric, is_derived=bool(found and found.is_derived)),
            series=row.series,
            open_series=found.tags_of if found else 0,
            share=row.series / total if total else 0.0,
            growth=row.growth,
            samples=row.samples,
            rate=survey.rate(metric),
            last=found.last if found and has_samples else None,
            p95=found.highest_p95 if found else None,
            seen=found.seen_at if found else None,
            tags=[_tag(tag) for tag in found.tags[:_TAGS_SHOWN]] if found else [],
            code="RLY310" if found and found.has_overflow else codes.get(metric, ""),
        )

    # --- the rule to paste --------------------------------------------------------------------------------------------

    async def _proposal(self, listed: list[MetricRow]) -> RuleProposal | None:
        """Return a rule for the first listed metric that one tag makes many."""
        row = next((row for row in listed if _is_many_by_one_tag(row)), None)
        if row is None or row.found is None:
            return None
        metric, namer = Metric(*row.metric), self._relay.namer
        received = namer.received_name(metric, is_derived=row.found.is_derived)
        async with self._proposing:
            proposal = await self._propose(Removal(metric, received, row.found.tags[0].key), row.found)
        return self._rule(proposal) if proposal and proposal.before - proposal.after >= _SAVED_LEAST else None

    async def _propose(self, wanted: Removal, found: MetricSurvey) -> Proposal | None:
        """Return the kept proposal, or a new one. Naming 37,500 series takes 0.8 s of CPU, so it is kept for long."""
        kept, config, now = self._proposed, self._relay.config, self._clock.monotonic()
        if kept is None or not kept.serves(wanted, config, series=found.tags_of, now=now):
            made = await propose(config, self._relay.namer, wanted, series=self.surveyor.series_of(wanted.metric))
            kept = self._proposed = KeptProposal(wanted, config, now, made)
        return kept.proposal

    def _rule(self, proposal: Proposal) -> RuleProposal:
        number = proposal.number
        present = self._relay.config.rule[number - 1] if number else None
        return RuleProposal(
            metric=proposal.metric.name,
            type=proposal.metric.kind,
            tag=proposal.tag,
            before=proposal.before,
            after=proposal.after,
            is_exact=proposal.is_exact,
            toml=rule_as_toml(proposal.rule),
            number=number,
            replaces=proposal.replaces,
            pattern=(present.match or present.regex) if present else "",
        )

    # --- tags ---------------------------------------------------------------------------------------------------------

    async def tags(self, *, top: int) -> TagsAnswer:
        """Return the tags of the open window, those with the most values first, each with the metric that has most."""
        survey = await self.surveyor.survey()
        most: dict[str, tuple[TagSurvey, Metric]] = {}
        uses: Counter[str] = Counter()
        async for metric, found in paced(self._clock, survey.metrics.items()):
            for tag in found.tags:
                uses[tag.key] += 1
                if tag.key not in most or tag.values > most[tag.key][0].values:
                    most[tag.key] = tag, metric
        listed = nlargest(top, most.values(), key=lambda one: one[0].values)
        return TagsAnswer(
            tags=[_tag_answer(tag, metric, uses[tag.key]) for tag, metric in listed],
            others=len(most) - len(listed),
            walked_at=as_time(survey.at),
            walked=survey.series,
        )


def _is_many_by_one_tag(row: MetricRow) -> bool:
    values = row.most_values
    return values >= _SAVED_LEAST and row.found is not None and values >= _SAVED_SHARE * row.found.tags_of


def _limit(one: ApproachingLimit) -> LimitAhead:
    return LimitAhead(
        code="RLY311" if one.seconds else "RLY310",
        metric=one.metric.name if one.metric else "",
        type=one.metric.kind if one.metric else None,
        series=one.series,
        limit=one.limit,
        seconds=one.seconds,
    )


def _tag(tag: TagSurvey) -> TagCount:
    return TagCount(key=tag.key, values=tag.values, examples=list(tag.examples))


def _tag_answer(tag: TagSurvey, metric: Metric, metrics: int) -> TagAnswer:
    return TagAnswer(key=tag.key, values=tag.values, metric=metric.name, metrics=metrics, examples=list(tag.examples))
