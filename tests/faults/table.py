"""The table at the end of a run: row | fault | test | outcome | figures.

State is one object per pytest session, in the process that prints it. Figures travel as user properties of the test's
reports, so the table is complete with any reporter, and when tests run in several processes.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.fault_list import ROWS, SOAK

HERE = Path(__file__).parent
_ROW = re.compile(r"test_(?:row_(\d\d)|soak)_")
_TIER = re.compile(r"pytest\.mark\.(full|soak)$", re.MULTILINE)
_HEAD = ("row", "fault", "test", "outcome", "figures")
_WIDEST = 70


def row_tests() -> dict[int, dict[str, str]]:
    """Return the tests of each row in the files of this folder: name -> tier, empty for the fast one."""
    found: dict[int, dict[str, str]] = {row: {} for row in ROWS}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            row = _ROW.match(getattr(node, "name", ""))
            if row:
                tier = _TIER.search("\n".join(map(ast.unparse, node.decorator_list)))
                found.setdefault(int(row[1] or SOAK), {})[node.name] = tier[1] if tier else ""
    return found


@dataclass(eq=False)
class Table:
    """State: outcomes and figures by test."""

    outcomes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    figures: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    searched: list[tuple[int, int]] = field(default_factory=list)
    """Files and bytes searched for the secrets of each test."""

    def pytest_runtest_logreport(self, report) -> None:
        """Add the report of a phase; a failed setup counts, since no call follows it."""
        if not report.nodeid.startswith("tests/faults/"):
            return
        name = _name(report.nodeid)
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[name].append(_outcome(report))
        if report.when == "teardown":
            for key, value in report.user_properties:
                if key == "searched":
                    self.searched.append(value)
                elif key == "figure" and value[1] not in self.figures[value[0], name]:
                    self.figures[value[0], name].append(value[1])

    def pytest_terminal_summary(self, terminalreporter, config) -> None:
        """Print the table; with every row if the whole folder was run."""
        if not any(map(_ROW.match, self.outcomes)):
            return
        places = {(config.invocation_params.dir / argument).resolve() for argument in config.args}
        whole = not places.isdisjoint((HERE, *HERE.parents)) and not config.option.keyword
        terminalreporter.section("faults")
        for line in self.lines(whole=whole):
            terminalreporter.write_line(line)
        files, size = (sum(figures) for figures in zip((0, 0), *self.searched, strict=True))
        terminalreporter.write_line(
            f"secret canary: {files} files searched, {size / 1e6:.1f} MB, 0 hits in tests that passed"
        )

    def lines(self, *, whole: bool) -> list[str]:
        """Return the table; rows that were not run are left out unless the whole folder was run."""
        cells: list[tuple[str, ...]] = [_HEAD]
        for row, names in sorted(row_tests().items()):
            for number, (name, tier) in enumerate((names or {"": ""}).items()):
                if whole or name in self.outcomes:
                    cells.append(self._cells(row, name, tier, first=number == 0))
        widths = [min(_WIDEST, max(len(line[column]) for line in cells)) for column in range(len(_HEAD) - 1)]
        return [
            " | ".join([*(cell[:width].ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]])
            for line in cells
        ]

    def _cells(self, row: int, name: str, tier: str, *, first: bool) -> tuple[str, ...]:
        fault = ROWS.get(row, "not in the list") if first else ""
        if not name:
            return str(row), fault, "-", "MISSING", ""
        figures = [text for (of, test), texts in self.figures.items() if test == name and of == row for text in texts]
        not_run = f"not run: -m {tier}" if tier else "not run"
        return str(row), fault, name, _sum_up(self.outcomes.get(name, [not_run])), "; ".join(figures)


def _name(nodeid: str) -> str:
    """Return the function of a test, without its parameters."""
    return nodeid.rpartition("::")[2].partition("[")[0]


def _outcome(report) -> str:
    if report.outcome != "skipped":
        return report.outcome
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return f"SKIPPED: {reason.removeprefix('Skipped: ')}"


def _sum_up(outcomes: list[str]) -> str:
    """Return the worst outcome of all parameters, and how many had it."""
    worst = next((o for o in outcomes if o == "failed"), None)
    worst = worst or next((o for o in outcomes if o != "passed"), "passed")
    alike = outcomes.count(worst)
    if len(outcomes) == 1:
        return worst
    return f"{worst} x {alike}" if alike == len(outcomes) else f"{worst} x {alike} of {len(outcomes)}"
