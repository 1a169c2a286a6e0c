"""Box 5: the last hour as six charts; is it getting worse?

The server draws each as an SVG; static/charts.js replaces it by one that shows values under the pointer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay.admin.page.html import Html, box, element
from relay.wording import as_duration, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.answers.history import HistoryAnswer

WIDTH: Final = 300
HEIGHT: Final = 60


class Chart(NamedTuple):
    """A chart: its title, unit, columns, and the limit."""

    name: str
    title: str
    unit: str
    columns: tuple[str, ...]
    limit: str = ""


CHARTS: Final = (
    Chart("lines", "Lines", "a second", ("lines",)),
    Chart("losses", "Losses", "a second", ("kernel_drops", "rejected", "overflow", "lost_samples", "lost_points")),
    Chart("series", "Series", "a window", ("series",), "series_limit"),
    Chart("quota", "Requests", "a minute", ("requests_per_minute",), "requests_per_minute_limit"),
    Chart("lag", "Lag", "seconds", ("lag",)),
    Chart("waiting", "Waiting", "points", ("waiting",)),
)


def charts_box(answer: HistoryAnswer) -> Html:
    """Return the charts."""
    if len(answer.at) < 2:
        return box("hour", "Last hour", element("p", "The charts begin two seconds after the start."))
    span = as_duration(answer.at[-1])
    figures = [_figure(chart, answer) for chart in CHARTS]
    return box("hour", "Last hour", element("div", *figures, class_="charts"), note=f"The last {span}.")


def _figure(chart: Chart, answer: HistoryAnswer) -> Html:
    totals = _totals([getattr(answer, column) for column in chart.columns])
    limit = getattr(answer, chart.limit) if chart.limit else 0
    known = [value for value in totals if value is not None]
    last, most = (known[-1], max(known)) if known else (0.0, 0.0)
    share = f" of {number(limit)}" if limit else ""
    said = f"{_shown(last)}{share} {chart.unit}, at most {_shown(most)}"
    caption = element("figcaption", element("b", chart.title), " ", element("span", said))
    drawing = _svg(answer.at, totals, label=f"{chart.title}: {said}")
    plot = element(
        "div",
        drawing,
        class_="plot",
        data_chart=chart.name,
        data_columns=" ".join(chart.columns),
        data_unit=chart.unit,
        data_limit=chart.limit or None,
    )
    return element("figure", caption, plot)


def _totals(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the sum of the columns at each moment; None where all are unknown."""
    return [
        sum(value for value in values if value is not None) if any(value is not None for value in values) else None
        for values in zip(*columns, strict=True)
    ]


def _svg(at: Sequence[float], values: Sequence[float | None], *, label: str) -> Html:
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    span = at[-1] - at[0] or 1.0
    points = " ".join(
        f"{(moment - at[0]) / span * WIDTH:.1f},{HEIGHT - 1 - value / most * (HEIGHT - 2):.1f}"
        for moment, value in zip(at, values, strict=True)
        if value is not None
    )
    line = element("polyline", points=points)
    return element(
        "svg", line, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label
    )


def _shown(value: float) -> str:
    return number(round(value)) if value >= 10 or value == int(value) else f"{value:.1f}"
