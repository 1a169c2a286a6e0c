"""Framing without sockets: every stream whole, byte by byte, in random cuts, and with trailing garbage."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.listener.framing import FrameFraming, LineFraming

if TYPE_CHECKING:
    from relay.lines import Piece


def run(framing, *chunks: bytes, in_order: bool = True) -> list[Piece]:
    pieces = [piece for chunk in chunks for piece in framing.receive(chunk)]
    return pieces if framing.broken else pieces + framing.end(in_order=in_order)


def outcome(pieces: list[Piece]) -> tuple[list[bytes], list[tuple[bytes, str]]]:
    """Lines in their order, and what was rejected."""
    assert all(len(text) <= limits.DATAGRAM_BYTES for text, _ in pieces)
    lines = [line for text, reason in pieces if not reason for line in text.split(b"\n") if line.strip(b"\r")]
    return lines, [(text, reason) for text, reason in pieces if reason]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "little") + payload


LINES = [
    (b"", [], []),
    (b"\n\n\r\n", [], []),
    (b"a:1|c\n", [b"a:1|c"], []),
    (b"a:1|c\nb:2|g", [b"a:1|c", b"b:2|g"], []),
    (b"a:1|c\r\nb:2|g\r\n", [b"a:1|c\r", b"b:2|g\r"], []),
    (b"x" * 80 + b"\na:1|c\n", [b"a:1|c"], [(b"x" * 80, "line_too_long")]),
    (b"a:1|c\n" + b"x" * 300, [b"a:1|c"], [(b"x" * 120, "line_too_long")]),
    (b"x" * 64 + b"\n" + b"y" * 65 + b"\n" + b"z" * 63, [b"x" * 64, b"z" * 63], [(b"y" * 65, "line_too_long")]),
    (b"\x00\xff\n\x00", [b"\x00\xff", b"\x00"], []),
]


@pytest.mark.parametrize(("data", "lines", "rejected"), LINES)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_however_they_are_cut(data, lines, rejected, size):
    found, bad = outcome(run(LineFraming(64), *cut(data, size)))
    assert found == lines
    assert [reason for _, reason in bad] == [reason for _, reason in rejected]
    assert all(begin.startswith(text) for (text, _), (begin, _) in zip(bad, rejected, strict=True))


@given(st.lists(st.binary(max_size=40)), st.randoms())
def test_lines_in_random_cuts(parts, random):
    data = b"\n".join(parts)
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(6)))
    chunks = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    framing = LineFraming(20)
    lines, rejected = outcome(run(framing, *chunks))
    wanted = [line for line in data.split(b"\n") if line.strip(b"\r")]
    assert lines == [line for line in wanted if len(line) <= 20]
    assert len(rejected) == sum(len(line) > 20 for line in data.split(b"\n"))


def test_the_longest_line_is_a_datagram_and_what_waits_is_bounded():
    framing = LineFraming(1 << 20)
    longest = b"x" * limits.DATAGRAM_BYTES
    assert outcome(run(framing, *cut(longest + b"\n" + longest, limits.STREAM_CHUNK))) == ([longest, longest], [])
    framing, chunk = LineFraming(1 << 20), b"x" * limits.STREAM_CHUNK
    tracemalloc.start()
    pieces = [piece for _ in range(600) for piece in framing.receive(chunk)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * limits.DATAGRAM_BYTES
    assert [reason for _, reason in pieces] == ["line_too_long"]
    assert framing.end(in_order=True) == [], "it was rejected when it grew too long, once"


def test_a_line_that_was_cut_off_is_no_line():
    assert outcome(run(LineFraming(64), b"a:1|c\nb:2", in_order=False)) == ([b"a:1|c"], [(b"b:2", "truncated")])
    assert outcome(run(LineFraming(64), b"a:1|c\n", in_order=False)) == ([b"a:1|c"], [])


FRAMES = [
    (b"", [], []),
    (frame(b"a:1|c"), [b"a:1|c"], []),
    (frame(b"a:1|c\nb:2|g\n") + frame(b"") + frame(b"c:3|ms"), [b"a:1|c", b"b:2|g", b"c:3|ms"], []),
    (frame(b"a:1|c") + b"\x05", [b"a:1|c"], [(b"", "truncated")]),
    (frame(b"a:1|c\nb:2|g")[:-1], [b"a:1|c"], [(b"b:2|", "truncated")]),
    (frame(b"x" * limits.DATAGRAM_BYTES), [b"x" * limits.DATAGRAM_BYTES], []),
]


@pytest.mark.parametrize(("data", "lines", "rejected"), FRAMES)
@pytest.mark.parametrize("size", [1, 5, 1000, 100_000])
@pytest.mark.parametrize("in_order", [True, False])
def test_frames_however_they_are_cut(data, lines, rejected, size, in_order):
    assert outcome(run(FrameFraming(), *cut(data, size), in_order=in_order)) == (lines, rejected)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_frame_longer_than_a_datagram_breaks_the_stream(size):
    data = frame(b"a:1|c") + (limits.DATAGRAM_BYTES + 1).to_bytes(4, "little") + b"GET / HTTP/1.1\r\n"
    framing = FrameFraming()
    pieces = []
    for chunk in cut(data, size):
        pieces += framing.receive(chunk)
        if framing.broken:
            break
    lines, [(text, reason)] = outcome(pieces)
    assert (lines, reason) == ([b"a:1|c"], "line_too_long")
    assert text.startswith(b"\xe4\xff\x00\x00")
    assert framing.end(in_order=True) == []


def test_a_text_protocol_on_the_framed_socket_is_refused_at_its_first_bytes():
    framing = FrameFraming()
    assert [piece.reason for piece in framing.receive(b"a:1|c\n")] == ["line_too_long"]
    assert framing.broken
