"""Draws a frame of `top` as lines of text that fit the terminal. Pure but for the time of day."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.cli.series.columns import cut, table
from relay.cli.series.one import name_lines
from relay.cli.top.tables import make_table
from relay.wording import number, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.cli.top.figures import Figures
    from relay.cli.top.view import View

_FOOT_LINES: Final = 1
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII: Final = "_.-:=+*#"
_SPARK: Final = 30
_SECONDS: Final = 300
"""Time that the line of lines a second shows."""
_BAR: Final = 10
_LEVELS: Final = {"ok": "OK", "note": "OK", "warning": "WARNING", "problem": "PROBLEM"}
_TOLD: Final = ("warning", "problem")
"""Levels of which the head names the code."""
_HELP: Final = (
    "tab, shift-tab   next table: metrics, tags, senders, rules, windows",
    "s                sort by the next column",
    "r                reverse the order",
    "/                filter by a part of the name; enter keeps it, escape ends it",
    "up, down         select a row",
    "enter            all that is known of the metric; escape goes back",
    "t                tap the lines of the metric",
    "space            hold: nothing changes until it is pressed again",
    "q                quit",
)


class Shape(NamedTuple):
    """The terminal."""

    width: int
    height: int
    is_ascii: bool


def frame_lines(figures: Figures, view: View, shape: Shape) -> list[str]:
    """Return the lines of a frame, at most as many as the terminal has."""
    lines = [_head(figures, view, shape), _second_line(figures, shape)]
    room = max(0, shape.height - len(lines) - _FOOT_LINES)
    if view.has_help:
        lines += _HELP[:room]
    elif view.opened:
        shown = list(name_lines(figures.name, {}, width=shape.width)) if figures.name else ["..."]
        lines += shown[:room]
    else:
        lines += _table(figures, view, shape, room)
    lines += [""] * (shape.height - _FOOT_LINES - len(lines))
    return [cut(printable(line), shape.width) for line in [*lines, _foot(figures, view)]]


def selected_name(figures: Figures, view: View) -> str:
    """Return the name in the selected row; empty without rows."""
    lines = make_table(figures, view).lines
    return lines[min(view.row, len(lines) - 1)].key if lines else ""


def _head(figures: Figures, view: View, shape: Shape) -> str:
    newest = figures.newest
    code = figures.code if figures.level in _TOLD else ""
    level = " ".join(filter(None, (_LEVELS.get(figures.level, figures.level), code)))
    parts = [
        time.strftime("%H:%M:%S"),
        "HELD" if view.is_held else "",
        f"NO ANSWER {time.monotonic() - figures.answered_at:.0f} s" if figures.trouble else level,
        f"{number(round(newest.lines))} lines/s",
        f"drops {number(figures.drops)}",
        f"rejected {number(figures.rejected)}",
        f"waiting {number(round(newest.waiting))}",
        f"quota {figures.quota:.0%}".replace("%", " %"),
        _window_bar(figures),
    ]
    return _joined(parts, shape.width)


def _joined(parts: Sequence[str], width: int) -> str:
    """Return the parts that fit, two blanks between them; what does not fit is left out whole."""
    text = ""
    for part in filter(None, parts):
        longer = f"{text}  {part}" if text else part
        text = longer if len(longer) <= width else text
    return text


def _window_bar(figures: Figures) -> str:
    """Return how much of the open window has passed."""
    if figures.windows is None or not figures.windows.windows:
        return ""
    last = figures.windows.windows[0]
    passed = time.time() - datetime.fromisoformat(last.start).timestamp()
    seconds = int(passed) % last.seconds
    done = _BAR * seconds // last.seconds
    return f"window {'#' * done}{'-' * (_BAR - done)} {seconds}/{last.seconds}"


def _second_line(figures: Figures, shape: Shape) -> str:
    values = [moment.lines for moment in figures.moments]
    most = max(values, default=0.0)
    parts = [f"lines/s  {spark(values, _SPARK, is_ascii=shape.is_ascii)}", f"5 min, max {number(round(most))}"]
    if figures.windows and figures.windows.windows:
        last = figures.windows.windows[0]
        points = number(round(last.points * 60 / last.seconds))
        parts.append(f"points/min {points} of {number(figures.points_limit)}")
    return _joined(parts, shape.width)


def spark(values: Sequence[float], width: int, *, is_ascii: bool) -> str:
    """Return a line of `width` characters for five minutes, one value a second: the mean of each part, as a height."""
    steps, size = _ASCII if is_ascii else _BLOCKS, _SECONDS // width
    parts = [values[max(0, end - size) : end] for end in range(len(values), 0, -size)][:width]
    means = [sum(part) / len(part) for part in reversed(parts)]
    most = max(means, default=0.0) or 1.0
    heights = (min(len(steps) - 1, int(mean / most * len(steps))) for mean in means)
    return "".join(steps[height] for height in heights).rjust(width)


def _table(figures: Figures, view: View, shape: Shape, room: int) -> list[str]:
    made = make_table(figures, view)
    rows = max(1, room - 2)
    selected = min(view.row, max(0, len(made.lines) - 1))
    first = max(0, min(selected - rows + 1, len(made.lines) - rows)) if selected >= rows else 0
    shown = made.lines[first : first + rows]
    if not shown:
        return [f" {made.titles[0]}", " no row matches the filter" if view.filter else " nothing yet"]
    title = made.titles[0]
    if len(shown) < made.total or view.table == "metrics":
        title += f" {first + 1}-{first + len(shown)} of {number(made.total)}"
    columns = made._replace(titles=[title, *made.titles[1:]]).columns(shown)
    lines = list(table(columns, shape.width - 1))
    marked = [f"{'>' if number_ == selected - first else ' '}{line}" for number_, line in enumerate(lines[1:])]
    return [f" {lines[0]}", *marked, f" {shown[selected - first].note}"][:room]


def _foot(figures: Figures, view: View) -> str:
    if view.is_typing:
        return f"/{view.filter}_"
    if figures.trouble:
        return figures.trouble
    place = "  ".join(
        f"[{name}]" if name == view.table else name for name in ("metrics", "tags", "senders", "rules", "windows")
    )
    filter_ = f"  filter {view.filter}" if view.filter else ""
    age = f"  {figures.series.walked_age:.0f} s old" if view.table == "metrics" and figures.series else ""
    return f"{place}{filter_}{age}  ? help  q quit"
