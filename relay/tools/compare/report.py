"""The report of a comparison, as text and as JSON. Pure.

Its names are safe to print, since the relay's namer has rewritten them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from relay.tools.compare.matching import Verdict
from relay.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.tools.compare.matching import ComparedMetric
    from relay.tools.compare.time_range import TimeRange

ROWS_SHOWN: Final = 50
_NAME_MOST: Final = 60
"""Characters of a name in the table; a longer name is shortened in its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a comparison."""

    span: TimeRange
    windows: int
    flushes: int
    near: int
    """Flushes that may hold samples of both sides of an edge."""
    interval: float
    rows: Sequence[ComparedMetric]
    left_out: Mapping[str, int]
    """Names that were not compared, by reason."""
    notes: Sequence[str]
    """Remarks for the reader."""

    @property
    def is_fine(self) -> bool:
        """Whether something was compared, and no total differs by more than the edges explain."""
        found = self._verdicts()
        return not found[Verdict.DIFFERS] and bool(found[Verdict.EQUAL] or found[Verdict.WITHIN])

    def _verdicts(self) -> Counter[Verdict]:
        return Counter(row.verdict for row in self.rows)

    def summary(self) -> str:
        """Return the summary as one sentence."""
        found, seconds = self._verdicts(), self.span.end - self.span.start
        compared = found[Verdict.EQUAL] + found[Verdict.WITHIN] + found[Verdict.DIFFERS]
        over = f"over {seconds} s ({clock(self.span.start)} to {clock(self.span.end)} UTC)"
        if not compared:
            return f"nothing to compare {over}: neither daemon had a value of its users"
        counts = f"{compared} totals compared {over}: {found[Verdict.EQUAL]} equal"
        if found[Verdict.WITHIN]:
            counts += f", {found[Verdict.WITHIN]} within what the {self.near} flushes at the edges hold"
        return f"{counts}, {found[Verdict.DIFFERS] or 'none'} {'differ' if found[Verdict.DIFFERS] != 1 else 'differs'}"

    def lines(self, *, everything: bool) -> Iterator[str]:
        """Yield the table, the names left out by reason, the notes and the summary."""
        shown = self.rows if everything else self.rows[:ROWS_SHOWN]
        yield from table(shown)
        if len(shown) < len(self.rows):
            rest = Counter(row.verdict for row in self.rows[len(shown) :])
            more = ", ".join(f"{count} {verdict}" for verdict, count in rest.items())
            yield f"... and {len(self.rows) - len(shown)} more: {more} (--all shows them)"
        if self.rows:
            yield ""
        every = f", one every {self.interval:g} s" if self.interval else ""
        windows = plural(self.windows, "window")
        yield f"old daemon: {self.flushes} flushes{every}; at the edges {self.near}; relay: {windows}"
        for reason, count in sorted(self.left_out.items()):
            yield f"left out: {plural(count, 'name')} {reason}"
        yield from (f"note: {note}" for note in self.notes)
        yield self.summary()

    def as_json(self) -> dict[str, Any]:
        """Return the whole report as plain values."""
        return {
            "fine": self.is_fine,
            "summary": self.summary(),
            "start": self.span.start,
            "end": self.span.end,
            "windows": self.windows,
            "flushes": self.flushes,
            "flushes_at_an_edge": self.near,
            "flush_interval": self.interval,
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "rows": [{**row._asdict(), "difference": row.difference} for row in self.rows],
        }


def table(rows: Sequence[ComparedMetric]) -> Iterator[str]:
    """Yield a header and a line for each row, in columns; consecutive rows with the same reason share it below them."""
    if not rows:
        return
    head = ("name", "", "old", "relay", "difference", "bound", "verdict")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    reasons = ["", *(row.why for row in rows), ""]
    for line, why, following in zip(cells, reasons, reasons[1:], strict=False):
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:6], widths[2:6], strict=True)]
        yield "  ".join([*left, *right, line[6]])
        if why and why != following:
            yield f"    {why}"


def _cells(row: ComparedMetric) -> tuple[str, ...]:
    return (
        cut(row.metric),
        f"{row.kind} {row.what}".strip(),
        number(row.old),
        number(row.relay),
        number(row.difference, sign=True),
        bound(row.low, row.high),
        row.verdict,
    )


def cut(name: str) -> str:
    """Return a name shortened for the table."""
    half = _NAME_MOST // 2
    return name if len(name) <= _NAME_MOST else f"{name[: half - 2]}...{name[-half + 1 :]}"


def number(value: float | None, *, sign: bool = False) -> str:
    """Return a number for display; `-` for None."""
    if value is None:
        return "-"
    rounded = round(value, 6) + 0.0
    text = f"{rounded:.0f}" if rounded == int(rounded) else f"{rounded:.6f}".rstrip("0")
    return f"+{text}" if sign and rounded > 0 else text


def bound(low: float, high: float) -> str:
    """Return the bounds that the edges explain, for display."""
    return "0" if low == high == 0 else f"{number(low)}..{number(high, sign=True)}"


def clock(moment: float) -> str:
    """Return the time of day in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")
