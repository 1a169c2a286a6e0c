"""Renders the answer of /api/v1/series: totals, limits ahead, the table of metrics, the rule to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.cli.series.columns import Column, cut, table
from relay.wording import number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.admin.answers.series import LimitAhead, MetricAnswer, RuleProposal, SeriesAnswer, TagCount

_LIMITS_SHOWN: Final = 3
_VALUE_MOST: Final = 16
"""Characters shown of an example."""
_INDENT: Final = 2


def series_lines(answer: SeriesAnswer, *, by: str, file: str, width: int) -> Iterator[str]:
    """Yield the lines.

    Args:
        answer: of the relay.
        by: the order of the table.
        file: path of the relay's file; empty without one.
        width: of the terminal.
    """
    yield _totals(answer)
    yield from _limits(answer.ahead)
    if not answer.rows:
        yield "  no metric matches" if answer.series else "  there are no series yet"
        return
    indent = " " * _INDENT
    yield from (f"{indent}{line}" for line in table(_columns(answer, by=by), width - _INDENT))
    if answer.walked * 2 < answer.series:
        yield f"tags and examples are of the {number(answer.walked)} series that the open window has so far"
    if answer.proposal:
        yield from proposal_lines(answer.proposal, file)


def _totals(answer: SeriesAnswer) -> str:
    text = (
        f"{number(answer.series)} of {number(answer.series_limit)} series ({answer.series / answer.series_limit:.0%})"
    )
    text = text.replace("%", " %")
    if answer.growth is not None:
        text += f", {signed(answer.growth)} a minute"
    if answer.window is None:
        return f"{text}; no window is closed yet"
    return f"{text}; {number(answer.requests)} of {number(round(answer.requests_limit))} requests for a window"


def signed(growth: float | None) -> str:
    """Return a growth: `+1 831`, `-3`, `0`; `-` if it is not known."""
    if growth is None:
        return "-"
    rounded = round(growth)
    sign = "+" if rounded > 0 else "-" if rounded < 0 else ""
    return f"{sign}{number(abs(rounded))}"


def _limits(ahead: Sequence[LimitAhead]) -> Iterator[str]:
    for one in ahead[:_LIMITS_SHOWN]:
        yield limit_sentence(one)
    if len(ahead) > _LIMITS_SHOWN:
        yield f"! and {plural(len(ahead) - _LIMITS_SHOWN, 'metric')} more within an hour"


def limit_sentence(one: LimitAhead) -> str:
    """Return the line about a limit."""
    subject = printable(one.metric) or "the whole relay"
    if not one.seconds:
        return f"! {subject} has reached its limit of {number(one.limit)}; more goes to overflow series (RLY310)"
    minutes = max(1, round(one.seconds / 60))
    return f"! {subject} reaches its limit of {number(one.limit)} in {minutes} min ({one.code})"


def _columns(answer: SeriesAnswer, *, by: str) -> list[Column]:
    rows, others = answer.rows, answer.others
    rest = [others] if others.metrics else []

    def column(title: str, cells: list[str], other: list[str], *, is_number: bool = True) -> Column:
        return Column(title=title, cells=cells + (other if rest else []), is_number=is_number)

    samples = column("SAMPLES", [number(row.samples) for row in rows], [""])
    return [
        column("METRIC", [row.metric for row in rows], [f"{number(others.metrics)} others"], is_number=False),
        column("TYPE", [str(row.type) for row in rows], [""], is_number=False),
        column("SERIES", [number(row.series) for row in rows], [number(others.series)]),
        column("SHARE", [_share(row.share) for row in rows], [_share(others.share)]),
        column("+/MIN", [signed(row.growth) for row in rows], [signed(others.growth)]),
        *([samples] if by == "samples" else []),
        column("TAG THAT MAKES THEM MANY", [tags_of(row) for row in rows], [""], is_number=False),
        column("EXAMPLES", [_examples(row.tags) for row in rows], [""], is_number=False),
    ]


def _share(share: float) -> str:
    return f"{share * 100:.1f} %"


def tags_of(row: MetricAnswer) -> str:
    """Return the tag that makes a metric many: `request_id 4 180`; or those that do together: `path 20 x outcome 4`."""
    product, shown = 1, []
    for tag in row.tags:
        if tag.values < 2 or product >= row.open_series:
            break
        shown.append(f"{tag.key} {number(tag.values)}")
        product *= tag.values
        if tag.values * 2 >= row.open_series:
            break
    return " x ".join(shown) or "-"


def _examples(tags: Sequence[TagCount]) -> str:
    if not tags or tags[0].values < 2:
        return ""
    return " ".join(cut(value, _VALUE_MOST) for value in tags[0].examples)


def proposal_lines(proposal: RuleProposal, file: str) -> Iterator[str]:
    """Yield what a rule would leave, the rule, and where it belongs."""
    left = f"{'' if proposal.is_exact else 'at least '}{number(proposal.after)}"
    yield f"{proposal.metric} without {proposal.tag} would be {left} series, with the same totals:"
    yield from (f"    {line}" for line in proposal.toml.splitlines())
    place = f' before rule {proposal.number} ("{printable(proposal.pattern)}")' if proposal.number else ""
    if proposal.replaces:
        place = f' in place of rule {proposal.number} ("{printable(proposal.pattern)}")'
    yield f"put it into {printable(file) or 'the file of the relay'}{place}; then: statsd-relay reload"
