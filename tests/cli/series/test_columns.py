"""Tables fit a terminal: columns at the right go first, and no cell can control it."""

from __future__ import annotations

import pytest

from relay.cli.series.columns import Column, cut, table

COLUMNS = [
    Column(title="METRIC", cells=["web.req", "w" * 60]),
    Column(title="SERIES", cells=["4 204", "1"], is_number=True),
    Column(title="EXAMPLES", cells=["a b c", ""]),
]


def test_a_wide_terminal_has_every_column():
    assert list(table(COLUMNS, 100)) == [
        f"{'METRIC':<60}  SERIES  EXAMPLES",
        f"{'web.req':<60}   4 204  a b c",
        f"{'w' * 60}       1",
    ]


def test_the_first_column_is_cut_before_one_is_left_out():
    assert list(table(COLUMNS, 66))[2] == f"{'w' * 46}..       1"


@pytest.mark.parametrize(("width", "columns"), [(62, 3), (61, 2), (52, 2), (51, 1), (10, 1), (1, 1)])
def test_a_line_is_never_wider(width, columns):
    lines = list(table(COLUMNS, width))
    assert max(map(len, lines)) <= width
    assert ("SERIES" in lines[0]) + ("EXAMPLES" in lines[0]) + 1 == columns


def test_a_last_column_may_be_cut_before_it_is_left_out():
    columns = [Column(title="A", cells=["abc"]), Column(title="B", cells=["0123456789"], least=5)]
    assert [list(table(columns, width))[1] for width in (15, 12, 10, 9)] == [
        "abc  0123456789",
        "abc  01234..",
        "abc  012..",
        "abc",
    ]


def test_a_cell_cannot_control_the_terminal():
    assert list(table([Column(title="A", cells=["\x1b[2J\u202e"])], 100))[1] == r"\x1b[2J\u202e"


def test_a_cut_text_ends_in_dots():
    assert [cut("abcdef", width) for width in (6, 5, 2, 1)] == ["abcdef", "abc..", "..", "."]
