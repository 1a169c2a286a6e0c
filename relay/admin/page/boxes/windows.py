"""Box 4: the last windows; since when, and which minutes miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.admin.page.html import Html, box, element, table
from relay.loss_log import lost_samples
from relay.wording import as_window, from_iso, number

if TYPE_CHECKING:
    from relay.admin.answers.windows import ClosedWindow, WindowsAnswer

_HEADS = ("window", "lines", "lost", "series", "points", "delivered", "waiting", "refused", "lag", "requests")


def windows_box(answer: WindowsAnswer) -> Html:
    """Return the table, the newest window first."""
    if not answer.windows:
        return box("windows", "Windows", element("p", "No window has closed since the start of this worker."))
    note = "Lost: packets, lines, samples and points. Lag: from the end to the first answer."
    rows = [_cells(window) for window in answer.windows]
    return box("windows", "Windows", table("The last windows, newest first", _HEADS, rows), note=note)


def lost(window: ClosedWindow) -> int:
    """Return what a window lost, but for samples dropped on request."""
    samples, points = lost_samples(window.samples_dropped), sum(window.dropped.values())
    return window.kernel_drops + sum(window.rejected.values()) + samples + points


def _cells(window: ClosedWindow) -> list[object]:
    return [
        as_window(from_iso(window.start), window.seconds),
        number(window.lines),
        _marked(lost(window)),
        number(window.series),
        number(window.points),
        number(window.delivered),
        _marked(window.waiting),
        _marked(window.refused),
        f"{window.lag:.1f} s" if window.lag is not None else "-",
        number(window.requests),
    ]


def _marked(count: int) -> object:
    """Return a number that should be 0, in bold if it is not."""
    return element("strong", number(count)) if count else "0"
