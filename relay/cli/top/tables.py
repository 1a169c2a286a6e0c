"""The tables of `top` as columns, sorted and filtered as the view says. Pure."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.cli.series.columns import Column
from relay.cli.series.one import figure
from relay.cli.series.senders import rate
from relay.cli.series.table import signed, tags_of
from relay.wording import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.admin.answers.rules import RuleHits
    from relay.admin.answers.senders import SenderAnswer
    from relay.admin.answers.series import MetricAnswer
    from relay.cli.top.figures import Figures
    from relay.cli.top.view import View

_MARKS: Final = {"RLY310": " !", "RLY311": " !"}
_ASCENDING: Final = ("METRIC", "TAG", "SENDER", "RULE")
"""Columns of which the smallest value comes first."""
_NOW: Final = 5.0
"""Seconds for which a metric was seen `now`."""


class Line(NamedTuple):
    """A row of a table."""

    key: str
    """The name that is selected with the row."""
    cells: Sequence[str]
    order: Sequence[float | str]
    """Values for sorting, by the columns of view.SORTS."""
    note: str = ""
    """What is told of the row while it is selected."""


class Table(NamedTuple):
    """A table: its headings and its rows, in order."""

    titles: Sequence[str]
    numbers: Sequence[bool]
    """Which columns are aligned at the right."""
    lines: Sequence[Line]
    total: int
    """Rows that there are; more than `lines` if the relay has left some out."""

    def columns(self, lines: Sequence[Line]) -> list[Column]:
        """Return some of the lines as columns."""
        return [
            Column(title=title, cells=[line.cells[place] for line in lines], is_number=self.numbers[place])
            for place, title in enumerate(self.titles)
        ]


def make_table(figures: Figures, view: View) -> Table:
    """Return the table of the view."""
    made = _MAKERS[view.table](figures)
    wanted = view.filter.lower()
    lines = sorted((line for line in made.lines if wanted in line.key.lower()), key=_rank)
    lines.sort(key=lambda line: line.order[view.sort], reverse=view.is_reversed == (view.sort_title in _ASCENDING))
    titles = [f"{title} v" if title == view.sort_title else title for title in made.titles]
    total = max(made.total, len(lines)) if not wanted or view.table == "metrics" else len(lines)
    return made._replace(lines=lines, titles=titles, total=total)


def _rank(line: Line) -> tuple[float, str]:
    """Return the order of rows that are equal in the sorted column: by the second one, then by name."""
    second = line.order[1] if len(line.order) > 1 else 0.0
    return (-second if isinstance(second, (int, float)) else 0.0, line.key)


def _metrics(figures: Figures) -> Table:
    answer = figures.series
    lines = [_metric(row, answer.series_per_metric) for row in answer.rows] if answer else []
    titles = ("METRIC", "TYPE", "LINES/S", "SERIES", "+/MIN", "LAST", "p95", "SEEN")
    return Table(titles, (False, False, True, True, True, True, True, False), lines, answer.metrics if answer else 0)


def _metric(row: MetricAnswer, limit: int) -> Line:
    cells = (
        row.metric + _MARKS.get(row.code, ""),
        str(row.type),
        rate(row.rate),
        number(row.series),
        signed(row.growth),
        "-" if row.last is None else figure(row.last),
        "-" if row.p95 is None else figure(row.p95),
        _seen(row.seen),
    )
    note = f"{row.metric}: {number(row.series)} of {number(limit)} series by {tags_of(row)}  {row.code}".rstrip()
    return Line(row.metric, cells, (row.rate or 0.0, row.series, row.growth or 0.0, row.metric), note)


def _seen(at: float | None) -> str:
    if at is None:
        return "-"
    age = time.time() - at
    return "now" if age < _NOW else f"{age:.0f} s ago" if age < 100 else f"{age / 60:.0f} min ago"


def _tags(figures: Figures) -> Table:
    answer = figures.tags
    lines = [
        Line(tag.key, (tag.key, number(tag.values), tag.metric, number(tag.metrics), " ".join(tag.examples)),
             (tag.values, tag.metrics, tag.key))
        for tag in (answer.tags if answer else ())
    ]  # fmt: skip
    titles = ("TAG", "VALUES", "MOST IN", "METRICS", "EXAMPLES")
    return Table(titles, (False, True, False, True, False), lines, len(lines) + (answer.others if answer else 0))


def _senders(figures: Figures) -> Table:
    answer = figures.senders
    lines = [_sender(one) for one in answer.senders] if answer else []
    titles = ("SENDER", "LINES/S", "LINES", "REJECTED", "LAST BAD LINE")
    return Table(titles, (False, True, True, True, False), lines, answer.count if answer else 0)


def _sender(one: SenderAnswer) -> Line:
    bad = one.bad.text if one.bad else ""
    cells = (one.address, rate(one.lines_per_second), number(one.lines), number(one.rejected), bad)
    note = f"{one.bad.reason}: {one.bad.explanation}" if one.bad else ""
    return Line(one.address, cells, (one.lines_per_second or 0.0, one.lines, one.rejected, one.address), note)


def _rules(figures: Figures) -> Table:
    answer = figures.rules
    lines = [_rule(rule) for rule in answer.rules] if answer else []
    titles = ("RULE", "SAMPLES", "SERIES", "NAMES", "MATCHES", "DOES")
    return Table(titles, (True, True, True, True, False, False), lines, len(lines))


def _rule(rule: RuleHits) -> Line:
    matches = rule.match or f"regex {rule.regex}"
    note = "" if rule.hits else f"rule {rule.number} has never matched"
    cells = (str(rule.number), number(rule.samples), number(rule.series), number(rule.hits), matches, rule.does)
    return Line(matches, cells, (rule.number, rule.samples, rule.series), note)


def _windows(figures: Figures) -> Table:
    answer = figures.windows
    titles = ("WINDOW", "LINES", "REJECTED", "SERIES", "POINTS", "DELIVERED", "WAITING", "REFUSED", "REQUESTS")
    lines = []
    for one in answer.windows if answer else ():
        start = datetime.fromisoformat(one.start)
        rejected = sum(one.rejected.values())
        counts = (one.lines, rejected, one.series, one.points, one.delivered, one.waiting, one.refused, one.requests)
        cells = (start.astimezone().strftime("%H:%M:%S"), *map(number, counts))
        lines.append(Line(cells[0], cells, (start.timestamp(),)))
    return Table(titles, (False, *[True] * 8), lines, len(lines))


_MAKERS: Final[dict[str, Callable[[Figures], Table]]] = {
    "metrics": _metrics,
    "tags": _tags,
    "senders": _senders,
    "rules": _rules,
    "windows": _windows,
}
