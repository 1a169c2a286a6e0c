"""The answers of `/api/v1/series`, `/api/v1/series/{name}` and `/api/v1/tags`."""

from __future__ import annotations

import msgspec

from relay.model import Kind  # noqa: TC001 - msgspec reads the annotations


class TagCount(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of a metric, as sent."""

    key: str
    values: int
    """Distinct values in the open window."""
    examples: list[str]


class MetricAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of one type and namespace."""

    metric: str
    namespace: str
    type: Kind
    received: str
    """A name as received that becomes this metric."""
    series: int
    """In the last closed window; before the first one, in the open window."""
    open_series: int
    """In the open window, when it was walked: of these are the tags."""
    share: float
    """Of all series, 0 to 1."""
    growth: float | None
    """Series a minute over the newest windows; null if it is not known yet."""
    samples: int
    """In the last closed window."""
    rate: float | None
    """Samples a second, now; null if the metric was not walked twice in this window."""
    last: float | None
    """The last value of its newest series."""
    p95: float | None
    """The 95th percentile of the series where it is highest; timers only."""
    seen: float | None
    """Wall time of the last walk that found new samples."""
    tags: list[TagCount]
    """Most values first."""
    code: str = ""
    """RLY310: it has an overflow series. RLY311: it reaches its limit within an hour."""


class OtherMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics that are not listed."""

    metrics: int
    series: int
    share: float
    growth: float | None


class LimitAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that is reached within an hour at the present growth, or was reached."""

    code: str
    """RLY310: reached. RLY311: ahead."""
    metric: str
    """Empty: the limit of all series."""
    type: Kind | None
    series: int
    limit: int
    seconds: float
    """Until it is reached; 0: it was reached."""


class RuleProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that removes a tag of a metric, with what it would leave, counted by the relay's own naming."""

    metric: str
    type: Kind
    tag: str
    before: int
    """Series of the metric in the open window."""
    after: int
    """Series that the rule would leave of them."""
    is_exact: bool
    """False: tags that are not sent now would take the free place, and there would be more."""
    toml: str
    """The rule as it stands in a file."""
    number: int
    """Rule before which it belongs, or which it replaces; 0: any place."""
    replaces: bool
    pattern: str
    """What rule `number` matches."""


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /api/v1/series`."""

    window: str | None
    """Start of the window of the counts; null: the open one."""
    series: int
    series_limit: int
    series_per_metric: int
    growth: float | None
    requests: int
    """Of the last closed window."""
    requests_limit: float
    """That a window may have."""
    metrics: int
    """Number of metrics that match the glob."""
    rows: list[MetricAnswer]
    others: OtherMetrics
    ahead: list[LimitAhead]
    proposal: RuleProposal | None
    """For the first listed metric that one tag makes many."""
    walked_at: str
    """Time of the walk for tags, examples and rates."""
    walked_age: float
    """Seconds since then."""
    walked: int
    """Series that were walked."""


class TagAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of the open window, as sent."""

    key: str
    values: int
    """Distinct values in the metric that has most of them."""
    metric: str
    """That metric."""
    metrics: int
    """Metrics with this tag."""
    examples: list[str]


class TagsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /api/v1/tags`."""

    tags: list[TagAnswer]
    """Most values first."""
    others: int
    """Tags that are not listed."""
    walked_at: str
    walked: int
    """Series that were walked."""


class SentPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a closed window, with what became of it."""

    window: str
    values: dict[str, float]
    """The statistics as sent; empty while the point waits."""
    outcome: str
    """accepted, refused, dropped; waiting: the request is not answered yet, or not kept."""
    at: str | None
    """Time of the answer."""
    request_id: str
    """The cloud's."""
    detail: str
    """The cloud's words, or the relay's, about a point that was not accepted."""


class OpenSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a series in the open window so far."""

    samples: int
    count: float
    sum: float
    min: float
    max: float
    last: float


class OneSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A series with its newest points."""

    metric: str
    namespace: str
    type: Kind | None
    """Null: known from sent points only."""
    dimensions: dict[str, str]
    open: OpenSeries | None
    """Null: no sample in the open window."""
    points: list[SentPoint]
    """Newest first, at most 15."""


class RuleOfName(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that matches a name, for some or all types."""

    number: int
    """From 1, in the order of the configuration."""
    pattern: str
    """Its match or regex."""
    place: str
    """Where it stands, as file:line, or the variable; empty if that is not known."""
    types: list[Kind]
    drops: bool


class NameAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /api/v1/series/{name}`: what is known of a name, as received or as sent."""

    name: str
    verdict: str
    """sent: it has series. dropped: a rule drops it. refused: naming gives it no series. never: it never came."""
    sentence: str
    """The verdict in words."""
    code: str
    """RLY310 while samples go to the overflow series of the metric; else empty."""
    metrics: list[str]
    """Names as sent."""
    received: list[str]
    """Names as received that become these metrics."""
    rules: list[RuleOfName]
    open: str
    """Start of the open window."""
    series: list[OneSeries]
    """At most 5, those with the most samples first."""
    others: int
    """Series that are not listed."""
    near: list[str]
    """Names that came and are similar, if this one never came."""
    last_packet: float | None
    """Seconds since the last packet of any sender; null if there was none."""
