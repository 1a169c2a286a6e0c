"""What `top` shows at the moment, and what a key changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TABLES: Final = ("metrics", "tags", "senders", "rules", "windows")
SORTS: Final[dict[str, tuple[str, ...]]] = {
    "metrics": ("LINES/S", "SERIES", "+/MIN", "METRIC"),
    "tags": ("VALUES", "METRICS", "TAG"),
    "senders": ("LINES/S", "LINES", "REJECTED", "SENDER"),
    "rules": ("RULE", "SAMPLES", "SERIES"),
    "windows": ("WINDOW",),
}
"""Columns by which a table is sorted, the default first."""
_SERVER_ORDERS: Final = {"LINES/S": "samples", "SERIES": "series", "+/MIN": "growth", "METRIC": "series"}
_FILTER_MOST: Final = 100


@dataclass(slots=True, kw_only=True)
class View:
    """State: the table, its order and filter, the selected row, and what lies over it."""

    table: str = "metrics"
    sort: int = 0
    is_reversed: bool = False
    filter: str = ""
    is_typing: bool = False
    """Whether keys go to the filter."""
    row: int = 0
    """The selected row."""
    is_held: bool = False
    has_help: bool = False
    opened: str = ""
    """The metric that is shown alone; empty: the table."""
    has_ended: bool = False
    wants_tap: str = ""
    """The name to tap, once `t` was pressed."""

    @property
    def sort_title(self) -> str:
        """Heading of the column by which the table is sorted."""
        return SORTS[self.table][self.sort]

    @property
    def server_order(self) -> str:
        """The order in which the relay chooses the metrics."""
        return _SERVER_ORDERS.get(self.sort_title, "samples") if self.table == "metrics" else "samples"

    def press(self, key: str, *, selected: str = "") -> None:
        """Apply a key.

        Args:
            key: a character, or a name such as `up`.
            selected: name in the selected row.
        """
        if self.is_typing:
            self._type(key)
        elif key in ("q", "ctrl-c"):
            self.has_ended = True
        elif self.has_help or key == "?":
            self.has_help = not self.has_help and key == "?"
        elif self.opened:
            self.opened = "" if key in ("escape", "enter", "backspace", "left") else self.opened
        else:
            self._press_in_table(key, selected)

    def _type(self, key: str) -> None:
        if key in ("enter", "escape", "ctrl-c"):
            self.is_typing = False
            self.filter = "" if key != "enter" else self.filter
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1 and key.isprintable() and len(self.filter) < _FILTER_MOST:
            self.filter += key
        self.row = 0

    def _press_in_table(self, key: str, selected: str) -> None:
        match key:
            case "tab" | "right":
                self._turn(1)
            case "shift-tab" | "left":
                self._turn(-1)
            case "enter":
                self.opened = selected if self.table == "metrics" else ""
            case "t":
                self.wants_tap = selected if self.table == "metrics" else ""
            case "s" | "r" | "/" | " " | "escape":
                self._change(key)
            case _:
                self._move(key)

    def _change(self, key: str) -> None:
        """Change the order, the filter, or whether anything changes."""
        self.row = 0 if key != " " else self.row
        match key:
            case "s":
                self.sort = (self.sort + 1) % len(SORTS[self.table])
            case "r":
                self.is_reversed = not self.is_reversed
            case " ":
                self.is_held = not self.is_held
            case _:
                self.filter, self.is_typing = "", key == "/"

    def _turn(self, step: int) -> None:
        self.table = TABLES[(TABLES.index(self.table) + step) % len(TABLES)]
        self.sort, self.row, self.is_reversed = 0, 0, False

    def _move(self, key: str) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -10, "page-down": 10}
        self.row = 0 if key == "home" else max(0, self.row + steps.get(key, 0))
