"""What a terminal sends becomes keys; unknown sequences are nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli.top.frame import spark
from relay.cli.top.terminal import is_utf8, read_keys
from relay.cli.top.view import SORTS, TABLES, View


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B", ["up", "down"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[5~j", ["page-up", "j"]),
        (b"\x1b[15;2~q", ["q"]),
        (b"\x1b[", []),
        ("ä".encode(), ["ä"]),
        (b"\t\r\x7f ", ["tab", "enter", "backspace", " "]),
        (b"", []),
    ],
)
def test_keys(typed, keys):
    assert read_keys(typed) == keys


@given(st.binary(max_size=50))
def test_any_bytes_are_keys(typed):
    view = View()
    for key in read_keys(typed):
        view.press(key, selected="web")
        assert view.table in TABLES
        assert view.sort < len(SORTS[view.table])
        assert view.row >= 0


@pytest.mark.parametrize(
    ("environ", "is_utf_8"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.utf8", "LC_CTYPE": ""}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8"}, True),
        ({}, False),
    ],
)
def test_the_locale_of_the_terminal(environ, is_utf_8):
    assert is_utf8(environ) is is_utf_8


def test_a_line_of_five_minutes():
    assert spark([], 30, is_ascii=True) == " " * 30
    assert spark([0.0] * 300, 30, is_ascii=True) == "_" * 30
    assert spark([1.0] * 290 + [8.0] * 10, 30, is_ascii=True) == "." * 29 + "#"
    assert spark([5.0] * 25, 30, is_ascii=False) == " " * 27 + "███"
