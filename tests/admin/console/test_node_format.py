"""Maps are printed byte for byte as Node prints them; one process of Node prints many."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.admin.console.node_format import inspect, number
from tests.support.node import expect_node

_NODE = """
const util = require('util');
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const map = {};
  for (const [name, value] of JSON.parse(line)) {
    Object.defineProperty(map, name, { value: value === '[]' ? [] : value === '-0' ? -0 : value,
                                       enumerable: true, writable: true, configurable: true });
  }
  console.log(JSON.stringify(util.inspect(map)));
});
"""

PARTS = st.text(alphabet="abzAZ019_-.", min_size=1, max_size=12)
NAMES = st.one_of(
    st.builds(".".join, st.lists(PARTS, min_size=1, max_size=4)),
    st.builds("{};{}={}".format, PARTS, PARTS, PARTS),
    st.integers(0, 2**33).map(str),
    st.from_regex(r"0[0-9]{0,3}", fullmatch=True),
    st.sampled_from(["__proto__", "constructor", "4294967294", "4294967295", "toString", "_", "1e3"]),
)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**60), 2**60).map(float),
    st.sampled_from([0.0, -0.0, 0.1, 1e21, 1e20, 123456789012345680000.0, 1e-6, 1e-7, 1.5e-7, 5e-324, 2.0**53]),
)


@pytest.fixture(scope="module")
def node():
    expect_node()
    process = subprocess.Popen(["node", "-e", _NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(entries: list[tuple[str, float | str]]) -> str:
        # JSON has no negative zero that JSON.parse and json.dumps would agree on in every version.
        pairs = [[name, "-0" if str(value) == "-0.0" else value] for name, value in entries]
        process.stdin.write(json.dumps(pairs) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    with process:
        yield ask


def shown(entries: list[tuple[str, float | str]]) -> str:
    return "".join(inspect({name: value if isinstance(value, str) else number(value) for name, value in entries}))


@settings(max_examples=100)
@given(st.dictionaries(NAMES, NUMBERS, max_size=12))
@example({})
@example({"a" * 65: 1.0})
@example({"a" * 66: 1.0})
def test_a_map_of_numbers(node, entries):
    assert shown(list(entries.items())) == node(list(entries.items()))


@settings(max_examples=100)
@given(st.lists(NAMES, unique=True, max_size=16))
def test_a_map_of_empty_lists(node, names):
    assert shown([(name, "[]") for name in names]) == node([(name, "[]") for name in names])


@pytest.mark.parametrize("count", range(1, 15))
def test_where_the_line_breaks(node, count):
    """One column decides, with few entries and with many."""
    others = [(f"n{index}", 1.0) for index in range(count - 1)]
    longest = 80 - 11 - 2 * count - len(": 1") - sum(len(f"{name}: 1") for name, _ in others)
    lengths = {max(1, longest + more) for more in range(-3, 4)}
    texts = {length: shown([*others, ("x" * length, 1.0)]) for length in lengths}
    assert texts == {length: node([*others, ("x" * length, 1.0)]) for length in lengths}
    assert count > 9 or {"\n" in text for text in texts.values()} == {True, False}


def test_hidden_entries_are_counted():
    assert "".join(inspect({"a": "1"}, hidden=3)) == "{ a: 1, ... 3 more items }"
