"""Lines of a stream, whatever the cuts; tests/listener/test_framing.py has what a listener makes of them."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.lines import LineSplitter, whole_lines


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_come_out_whatever_the_cuts(lines, data):
    text = b"".join(line + b"\n" for line in lines) + data.draw(st.sampled_from([b"", b"rest"]))
    splitter, pieces, most = LineSplitter(8), [], 8
    while text:
        cut = data.draw(st.integers(1, len(text)))
        pieces += splitter.receive(text[:cut])
        text = text[cut:]
    assert list(whole_lines(pieces)) == [line for line in lines if line and len(line) <= most]
    assert [piece.reason for piece in pieces if piece.reason] == ["line_too_long"] * sum(
        len(one) > most for one in lines
    )


def test_a_line_without_an_end_takes_no_memory_and_is_rejected_once():
    splitter, pieces, chunk = LineSplitter(8192), [], b"x" * 8192
    tracemalloc.start()
    for _ in range(1000):
        pieces += splitter.receive(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(chunk)
    assert [piece.reason for piece in pieces] == ["line_too_long"]
    assert list(whole_lines(splitter.receive(b"x\na 1 2\n"))) == [b"a 1 2"]
