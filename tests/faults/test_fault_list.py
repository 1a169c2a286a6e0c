"""The list of faults and the tests agree."""

from __future__ import annotations

from tests.faults.fault_list import ROWS
from tests.faults.table import row_tests


def test_each_row_has_a_test():
    missing = {row: ROWS[row] for row, tests in row_tests().items() if not tests}
    assert not missing


def test_each_test_belongs_to_a_row():
    assert row_tests().keys() == ROWS.keys()
