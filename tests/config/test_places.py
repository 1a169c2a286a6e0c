"""A problem points at the value, or at the element of a list, that is wrong."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.toml.values import find_elements, find_value
from relay.config.types import to_toml
from tests.config.test_loading import problems

TEXT = """\
[listen]
udp = [
    "127.0.0.1:8125",  # a comment with "quotes", [brackets] and a comma
    "nowhere:1",
    'x',]
dialects = ["statsd", "nagios", "xml"]
[window]
seconds = 0  # too short
percentiles = [0, 50, 101.5]
histogram = [{ bins = [1, 2] }, { bins = [2, 1] }]
[admin]
hosts = [ "a b" , "fine", "c d" ]
[[rule]]
match = "a"
type = "meter"
"""


def pointed_at(text: str) -> list[tuple[int, str]]:
    found = problems_of(text)
    return [(one.line, one.text[one.column - 1 : one.column - 1 + one.width]) for one in found]


def problems_of(text: str):
    with tempfile.TemporaryDirectory() as directory:
        return problems(Path(directory), text)


def test_every_element_that_is_wrong_is_named_and_pointed_at():
    assert pointed_at(TEXT) == [
        (4, '"nowhere:1"'),
        (5, "'x'"),
        (6, '"nagios"'),
        (6, '"xml"'),
        (8, "0"),
        (9, "0"),
        (9, "101.5"),
        (10, "[{ bins = [1, 2] }, { bins = [2, 1] }]"),
        (10, "{ bins = [2, 1] }"),
        (12, '"a b"'),
        (12, '"c d"'),
        (15, '"meter"'),
    ]


def test_an_unknown_key_shows_its_line_and_no_value():
    [key, table] = problems_of('[log]\nlevl = "debug"\n[lgo]\na = 1\nb = 2\n')
    assert (key.text, key.column, key.width) == ("levl = ***", 1, 4)
    assert (table.line, table.fix) == (3, "did you mean [log]?")


def test_a_private_value_is_masked_and_the_mask_is_pointed_at():
    assert pointed_at('[cloud]\noutput = "everything"\n') == [(2, "***")]


@pytest.mark.parametrize("text", ["listen = 5\n", "listen = []\n"])
def test_a_table_that_is_a_value(text):
    [problem] = problems_of(text)
    assert (problem.line, problem.message) == (1, "listen must be a table")
    assert problem.fix == "write [listen] over its keys"


def test_an_empty_table_of_an_unknown_name():
    [problem] = problems_of("[listn]\n")
    assert (problem.line, problem.fix) == (1, "did you mean [listen]?")


VALUES = st.recursive(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8) | st.integers(-99, 99) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=5))
def test_the_parts_of_a_list_are_the_elements_that_toml_reads(values):
    text = f"key = {to_toml(values)}  # [1, 2"
    spans = find_elements(text, 5)
    assert [tomllib.loads(f"x = {text[one.start : one.end]}")["x"] for one in spans] == values
    whole = find_value(text, 5)
    assert text[whole.start : whole.end] == to_toml(values)
