"""Tables for a terminal; where it is narrow, the columns at the right are left out first."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH_MOST: Final = 100
_NAME_MOST: Final = 44
"""Widest first column while others are left out for it."""
_GAP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading and its cells, from top to bottom."""

    title: str
    cells: Sequence[str]
    is_number: bool = False
    """Numbers are aligned at the right."""
    least: int = 0
    """Characters to which the last column may be cut before it is left out; 0: it is not cut."""

    @property
    def width(self) -> int:
        """Characters of the widest cell, or of the heading."""
        return max(map(len, (self.title, *map(printable, self.cells))))

    def line(self, number: int, width: int) -> str:
        """Return the heading (number 0) or a cell, padded or cut to a width."""
        text = cut(printable(self.cells[number - 1]) if number else self.title, width)
        return f"{text:>{width}}" if self.is_number else f"{text:<{width}}"


def output_width() -> int:
    """Return the width for tables: that of the terminal, at most 100; without a terminal 100."""
    columns = shutil.get_terminal_size((WIDTH_MOST, 24)).columns if sys.stdout.isatty() else WIDTH_MOST
    return min(columns, WIDTH_MOST)


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` characters; a longer one ends in two dots."""
    return text if len(text) <= width else f"{text[: max(0, width - 2)]}.."[:width]


def table(columns: Sequence[Column], width: int) -> Iterator[str]:
    """Yield the lines of a table that is at most `width` characters wide.

    The first column may be cut to 44 characters, then the right-hand columns are left out, then the first is cut again.
    """
    shown, widths = list(columns), [column.width for column in columns]
    while len(shown) > 1 and (over := _total([min(widths[0], _NAME_MOST), *widths[1:]]) - width) > 0:
        if shown[-1].least and widths[-1] - over >= shown[-1].least:
            widths[-1] -= over
        else:
            shown, widths = shown[:-1], widths[:-1]
    widths[0] = max(1, min(widths[0], width - sum(widths[1:]) - _GAP * (len(widths) - 1)))
    for number in range(len(columns[0].cells) + 1):
        cells = (column.line(number, size) for column, size in zip(shown, widths, strict=True))
        yield (" " * _GAP).join(cells).rstrip()


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
