"""Conditions about series: too many, growing, or changed before they are sent. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding
from relay.daemon.health.conditions.wording import SINCE
from relay.wording import as_duration, number, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relay.daemon.health.facts import Facts

_GROWING: Final = 4
"""Windows of which each needs more requests than the one before: then they grow."""
_SOON: Final = 3600.0
"""Seconds until a limit is reached at that growth, below which it is told."""
_QUOTA_SHARE: Final = 0.9


def overflow(facts: Facts) -> Iterator[Finding]:
    """RLY310: samples of the open or the last window went to overflow series."""
    samples = sum(period.samples_overflow for period in facts.latest)
    if not samples:
        return
    cause, series = facts.series.explosion, facts.series
    if cause.metric:
        by = f" by {cause.tag}" if cause.tag else ""
        what = f"{cause.metric} has over {number(cause.values)} series{by}"
        remedy = f'drop_tags = ["{cause.tag}"]' if cause.tag else "metric = a name without the part that varies"
        rule = f'a rule with match = "{cause.metric}" and {remedy}'
        fix = f"add {rule}, as statsd-relay series prints it; then: statsd-relay reload"
    else:
        what = f"over {number(series.limit)} series, or {number(series.per_metric)} of one metric"
        fix = "send fewer series, or raise [limits]; statsd-relay series has the metric and the rule to paste"
    yield Finding(
        code="RLY310",
        level="warning",
        since=facts.now,
        sentence=f"{what} since {SINCE}: {plural(samples, 'sample')} in overflow series, limits {number(series.limit)}"
        f" and {number(series.per_metric)} of a metric",
        fix=fix,
        safe="totals stay right: surplus series are added up with overflow=true",
        next="series",
    )


def growing(facts: Facts) -> Iterator[Finding]:
    """RLY311: a limit on series, or the quota, is reached within an hour at the growth of the last windows."""
    for ahead in facts.series.ahead:
        name = f"{ahead.metric} has " if ahead.metric else ""
        what = f"{name}{number(ahead.series)} series, {number(round(ahead.per_minute))} more a minute since {SINCE}"
        yield _ahead(facts, ahead.metric, f"{what}: the limit of {number(ahead.limit)} is", ahead.seconds)
    requests = [window.requests for window in facts.windows[-_GROWING:]]
    if len(requests) == _GROWING and all(newer > older for older, newer in pairwise(requests)):
        growth, quota = (requests[-1] - requests[0]) / (_GROWING - 1), facts.delivery.quota * facts.seconds / 60
        seconds = (quota - requests[-1]) / growth * facts.seconds
        if 0 <= seconds <= _SOON:
            what = f"a window needs {number(requests[-1])} requests, {number(round(growth))} more each since {SINCE}"
            yield _ahead(facts, "requests", f"{what}: the quota of {quota:.0f} is", seconds)


def _ahead(facts: Facts, subject: str, what: str, seconds: float) -> Finding:
    return Finding(
        code="RLY311",
        level="warning",
        since=facts.now,
        subject=subject,
        sentence=f"{what} reached in {as_duration(seconds)}" if seconds else f"{what} reached",
        fix="paste the rule that statsd-relay series prints, then: statsd-relay reload; or raise the limit",
        safe="nothing is lost yet",
        next="series",
    )


def quota(facts: Facts) -> Iterator[Finding]:
    """RLY403: the last window needed 90 % of the quota, or percentiles were left out."""
    last = facts.windows[-1] if facts.windows else None
    allowed = facts.delivery.quota * facts.seconds / 60
    shed = sum(period.points_dropped.get("percentile_quota", 0) for period in facts.latest)
    if not shed and not (last and last.requests >= _QUOTA_SHARE * allowed):
        return
    requests = last.requests if last else 0
    lost = f"; {plural(shed, 'percentile')} not sent" if shed else ""
    yield Finding(
        code="RLY403",
        level="warning",
        since=facts.now,
        sentence=f"a window needs {number(requests)} of {allowed:.0f} requests since {SINCE}{lost}",
        fix="send fewer series or percentiles, or raise [cloud] requests_per_minute if the quota is higher",
        safe="sums, counts and averages are complete",
        next="series",
    )


def _example(fields: Mapping[str, str]) -> str:
    """Return an example in words: `web-1.hits -> web_1.hits`, or the fields as they are."""
    if {"received", "sent_as"} <= fields.keys():
        return f": {fields['received']} -> {fields['sent_as']}"
    return ": " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in fields.items()) if fields else ""


def rewritten(facts: Facts) -> Iterator[Finding]:
    """RLY302: names or tags were rewritten in the open or the last window."""
    count = sum(period.names_rewritten for period in facts.latest)
    if count:
        yield Finding(
            code="RLY302",
            level="note",
            since=facts.now,
            sentence=f"{plural(count, 'name')} rewritten since {SINCE}{_example(facts.series.rewritten)}",
            fix="nothing needs to be done; other names in the application avoid it",
            next="explain RLY302",
        )


def unsent_tags(facts: Facts) -> Iterator[Finding]:
    """RLY303: tags were not sent in the open or the last window."""
    count = sum(period.tags_dropped for period in facts.latest)
    if count:
        yield Finding(
            code="RLY303",
            level="note",
            since=facts.now,
            sentence=f"{plural(count, 'tag')} not sent since {SINCE}, five are allowed{_example(facts.series.unsent)}",
            fix="name the tags to keep in keep_tags of a [[rule]], then: statsd-relay reload",
            next="explain RLY303",
        )


def clamped(facts: Facts) -> Iterator[Finding]:
    """RLY304: values beyond the API's limits were clamped in the open or the last window."""
    count = sum(period.values_clamped for period in facts.latest)
    if count:
        yield Finding(
            code="RLY304",
            level="note",
            since=facts.now,
            sentence=f"{plural(count, 'value')} clamped to 9223372036854774784 since {SINCE}"
            f"{_example(facts.series.clamped)}",
            fix="send the value in a larger unit, or a gauge that is not below zero as unsigned",
            next="explain RLY304",
        )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    overflow,
    growing,
    quota,
    rewritten,
    unsent_tags,
    clamped,
)
