"""The table at the end of a run: row | fault | test | outcome | figures.

State is one object per pytest session. Figures travel as user properties of the test's reports, so the table is
complete with any reporter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.rows import ROWS, SOAK

HERE = Path(__file__).parent
_TEST = re.compile(r"def (test_(?:row_(\d\d)|soak)_\w+)")
_ROW = re.compile(r"test_(row_\d\d|soak)_")
_HEAD = ("row", "fault", "test", "outcome", "figures")
_WIDEST = 70


def row_tests() -> dict[int, list[str]]:
    """Return the names of the tests of each row, as the files of this folder have them."""
    found: dict[int, list[str]] = {row: [] for row in ROWS}
    for path in sorted(HERE.glob("test_*.py")):
        for name, row in _TEST.findall(path.read_text()):
            found.setdefault(int(row or SOAK), []).append(name)
    return found


@dataclass
class Table:
    """State: outcomes and figures by test."""

    outcomes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    figures: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    searched: list[tuple[int, int]] = field(default_factory=list)
    """Files and bytes in which each test's secrets were looked for."""

    def add(self, report) -> None:
        """Take a report of a phase; what happened first counts: a setup that fails has no call."""
        name = _name(report.nodeid)
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[name].append(_outcome(report))
        if report.when == "teardown":
            for key, value in report.user_properties:
                if key == "searched":
                    self.searched.append(value)
                elif key == "figure" and value[1] not in self.figures[value[0], name]:
                    self.figures[value[0], name].append(value[1])

    def __bool__(self) -> bool:
        return any(_ROW.match(name) for name in self.outcomes)

    def leave_out(self, items) -> None:
        """Take tests that another tier runs."""
        for item in items:
            tier = next((tier for tier in ("soak", "full") if item.get_closest_marker(tier)), "not selected")
            self.outcomes[_name(item.nodeid)].append(f"not run: -m {tier}" if tier != "not selected" else tier)

    def lines(self, *, whole: bool) -> list[str]:
        """Return the table; rows nobody ran are left out unless the whole folder was."""
        cells: list[tuple[str, ...]] = [_HEAD]
        for row, names in sorted(row_tests().items()):
            for number, name in enumerate(names or [""]):
                if whole or name in self.outcomes:
                    cells.append(self._cells(row, name, first=number == 0))
        widths = [min(_WIDEST, max(len(line[column]) for line in cells)) for column in range(len(_HEAD) - 1)]
        return [
            " | ".join([*(cell[:width].ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]])
            for line in cells
        ]

    def _cells(self, row: int, name: str, *, first: bool) -> tuple[str, ...]:
        fault = ROWS.get(row, "not in the list") if first else ""
        if not name:
            return str(row), fault, "-", "MISSING", ""
        figures = [text for (of, test), texts in self.figures.items() if test == name and of == row for text in texts]
        return str(row), fault, name, _sum_up(self.outcomes.get(name, ["not run"])), "; ".join(figures)


def _name(nodeid: str) -> str:
    """Return the function of a test, without its parameters."""
    return nodeid.rpartition("::")[2].partition("[")[0]


def _outcome(report) -> str:
    if report.outcome != "skipped":
        return report.outcome
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return f"SKIPPED: {reason.removeprefix('Skipped: ')}"


def _sum_up(outcomes: list[str]) -> str:
    """Return one outcome of all parameters: the worst, with how many shared it."""
    worst = next((o for o in outcomes if o == "failed"), None)
    worst = worst or next((o for o in outcomes if o != "passed"), "passed")
    alike = outcomes.count(worst)
    if len(outcomes) == 1:
        return worst
    return f"{worst} x {alike}" if alike == len(outcomes) else f"{worst} x {alike} of {len(outcomes)}"
