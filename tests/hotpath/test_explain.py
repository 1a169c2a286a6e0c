"""Errors of lines: the same reason as the parser's, and the byte that breaks the grammar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import REJECTED_LINES
from relay.hotpath.explain import EXPLANATIONS, LineError, explain, find_error, sections, show
from relay.hotpath.line import is_event, parse

VECTORS = [json.loads(line) for line in (Path(__file__).parents[1] / "vectors/lines.jsonl").read_text().splitlines()]


def check(line: bytes) -> None:
    parsed, fault = parse(line), find_error(line)
    if is_event(line):
        assert fault is None
    elif isinstance(parsed, str):
        assert fault is not None
        assert fault.reason == parsed
        assert 0 <= fault.at <= len(line)
    else:
        assert fault is None


@given(st.lists(st.sampled_from([*"abT:|@#.-+1e0cgmsh \n", "ms", "|c", "|@0.5", "|T1", "::", "nan"])))
@example(list("a:1|c:2|ms|@0.5:3|g|Tx"))
@example(list("a:1|c|@-1"))
def test_the_verdict_is_the_parser_s(parts):
    check("".join(parts).encode())


@given(st.binary(max_size=60))
def test_the_verdict_is_the_parser_s_for_any_bytes(line):
    check(line)


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b":1|c", 0),
        (b"web.hits", 8),
        (b"a:|c", 2),
        (b"a:1::2|c", 4),
        (b"a:1", 3),
        (b"a:1|", 4),
        (b"a:1|kv", 4),
        (b"a:1x|c", 3),
        (b"a:1:2.5.1:z|ms", 7),
        (b"a:nan|g", 2),
        (b"a:1e|g", 4),
        (b"a:-|g", 3),
        (b"a:1e400|g", 2),
        (b"a:" + b"1" * 65 + b"|g", 2),
        ("a:\u0661|c".encode(), 2),
        (b"a:1|c|@x", 7),
        (b"a:1|c|@", 7),
        (b"a:1|c|@-0.5", 7),
        (b"a:1|c|#t:1|T12x", 14),
        (b"a:1|c|T" + b"1" * 13, 7),
        (b"a:1|c:2|kv", 8),
        (b"a:1|c|@0.1:y|ms", 11),
    ],
)
def test_the_byte_where_reading_stopped(line, at):
    fault = find_error(line)
    assert fault is not None
    assert (fault.at, fault.reason) == (at, parse(line))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"a:1|c", [[]]),
        (b"a:1|c|@0.1|#k:v,l:w|c:id|zz", [[b"@0.1", b"#k:v,l:w", b"c:id", b"zz"]]),
        (b"a:1|c|@0.1:2|ms:3|g|T5|", [[b"@0.1"], [], [b"T5", b""]]),
    ],
)
def test_the_sections_of_a_line(line, found):
    assert sections(line) == found
    assert len(found) == len(parse(line).groups)


def test_every_reason_has_words_and_some_have_a_place():
    assert EXPLANATIONS.keys() == set(REJECTED_LINES)
    assert explain(b"\xff:1|c", "empty_name")[0] == 0
    assert explain(b"statsd_relay.x:1|c", "reserved_name")[0] == 0
    assert explain(b"a:1|c", "truncated")[0] == 5
    assert explain(b"a:1|c", "source_denied")[0] is None
    assert explain(b"a:1|c|#" + b"x" * 113, "bad_timestamp")[0] is None, "it is behind what was kept"


def test_what_is_shown_is_printable_and_holds_the_place():
    assert show(b"a\x1b[2J:x\n|c", 8) == (r"a\x1b[2J:x\n|c", 12)
    line = b"n" * 1000 + b":x|c"
    assert find_error(line) == LineError("bad_value", 1001)
    text, column = show(line, 1001)
    assert text[column:] == "x|c"
    assert len(text) <= 120


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: ascii(vector["line"])[:40])
def test_the_verdict_is_the_parser_s_for_every_vector(vector):
    check(vector["line"].encode("utf-8", "surrogateescape"))
