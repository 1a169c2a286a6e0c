"""Box 6: what costs quota: the metrics with the most series, the tag that makes them many, and the rule to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, join, name, table
from relay.wording import number, plural

if TYPE_CHECKING:
    from relay.admin.answers.series import LimitAhead, MetricAnswer, RuleProposal, SeriesAnswer

_AHEAD: Final = 3
"""Metrics at their limit that are named above the table."""
_HEADS: Final = ("metric", "type", "tag that makes them many", "series", "share", "+/min")


def series_box(answer: SeriesAnswer) -> Html:
    """Return limits ahead, the table, and the rule that would reduce the first metric."""
    if not answer.rows:
        return box("series", "Series", element("p", "There are no series."))
    share = 100 * answer.series / answer.series_limit
    note = f"{number(answer.series)} of {number(answer.series_limit)} series ({share:.0f} %), most series first."
    ahead = [_ahead(one) for one in answer.ahead[:_AHEAD]]
    rows = [_cells(row) for row in answer.rows]
    if answer.others.metrics:
        rows.append(_others(answer))
    shown = table("The metrics with the most series", _HEADS, rows, left=3)
    proposal = _proposal(answer.proposal) if answer.proposal else ""
    return box("series", "Series", *ahead, shown, proposal, note=note)


def _cells(row: MetricAnswer) -> list[object]:
    mark = element("strong", f" {row.code}") if row.code else ""
    tag = row.tags[0] if row.tags and row.series > 1 else None
    examples = join(map(code, tag.examples[:3]), " ") if tag else ""
    full = f"{row.namespace}/{row.metric}" if row.namespace else row.metric
    return [
        join([name(full), mark]),
        row.type.name.lower(),
        join([code(tag.key), f" {number(tag.values)}: ", examples]) if tag else "-",
        number(row.series),
        f"{100 * row.share:.1f} %",
        _growth(row.growth),
    ]


def _others(answer: SeriesAnswer) -> list[object]:
    others = answer.others
    share = f"{100 * others.share:.1f} %"
    return [plural(others.metrics, "other"), "", "", number(others.series), share, _growth(others.growth)]


def _growth(growth: float | None) -> str:
    return "-" if growth is None else f"{'+' if growth > 0 else ''}{number(round(growth))}"


def _ahead(one: LimitAhead) -> Html:
    subject = code(one.metric) if one.metric else "All series together"
    if not one.seconds:
        said: object = join([subject, f" reached the limit of {number(one.limit)}"])
    else:
        said = join([subject, f" will reach the limit of {number(one.limit)} in {max(1, round(one.seconds / 60))} min"])
    return element("p", element("strong", one.code), " ", said, ".")


def _proposal(rule: RuleProposal) -> Html:
    about = "about " if not rule.is_exact else ""
    said = join([code(rule.metric), " without ", code(rule.tag), f" would be {about}{number(rule.after)} series"])
    place = "in place of" if rule.replaces else "before"
    where = f" {place} rule {rule.number}" if rule.number else ""
    return element(
        "div",
        element("p", said, ", with the same totals. Put this rule into the file", where, " and reload:"),
        element("pre", join(map(code, rule.toml.splitlines()), Html("\n"))),
        class_="proposal",
    )
