"""The grammar, against vectors that are independent of the implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.hotpath.line import Line, is_event, parse
from tests.support.hotpath import NOW, imbalance, make, name_all

VECTORS = [json.loads(line) for line in (Path(__file__).parents[1] / "vectors/lines.jsonl").read_text().splitlines()]
GOOD = b"neighbour:1|c"


def ids(vector) -> str:
    return vector["line"][:40].encode("unicode_escape").decode()


def test_there_are_enough_vectors():
    assert len(VECTORS) >= 300


@pytest.mark.parametrize("vector", VECTORS, ids=ids)
def test_a_line_is_read_as_its_vector_says(vector):
    line = vector["line"].encode("latin-1")
    if vector["outcome"] in ("event", "nothing"):
        assert is_event(line) == (vector["outcome"] == "event")
        return
    assert not is_event(line)
    parsed = parse(line)
    if vector["outcome"] == "rejected":
        assert parsed == vector["reason"]
        return
    assert isinstance(parsed, Line)
    assert parsed.name == vector["name"].encode("latin-1")
    groups = [{**group._asdict(), "kind": str(group.kind)} for group in parsed.groups]
    for group in groups:
        group["values"] = [value.decode("latin-1") for value in group["values"]]
        group["tags"] = group["tags"].decode("latin-1")
        assert group.pop("unread") == 0
    assert groups == vector["groups"]


@pytest.mark.parametrize("frame", ["{}", "{}\n", "{}\r\n", "good\n{}\ngood", "\n\n{}\n\n"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_line_has_the_same_fate_wherever_it_stands(frame, times):
    """Each vector in a datagram, as a new and as a known line: it is counted once, and other lines are not affected."""
    good = frame.count("good")
    for vector in VECTORS:
        line = vector["line"].encode("latin-1")
        if line.endswith(b"\r") and frame == "{}\r\n":
            continue
        hotpath = make()
        datagram = frame.replace("good", GOOD.decode()).encode().replace(b"{}", line)
        for _ in range(times):
            hotpath.feed(datagram, NOW)
            name_all(hotpath)
        tally = hotpath.tally()
        outcome = vector["outcome"]
        accepted = tally.accepted - good * times
        assert (accepted, tally.events, sum(tally.rejected.values())) == (
            times * (outcome == "accepted"),
            times * (outcome == "event"),
            times * (outcome == "rejected"),
        ), line
        if outcome == "rejected":
            assert tally.rejected == {vector["reason"]: times}
        assert imbalance(hotpath) == 0


@given(st.binary(max_size=200))
def test_no_bytes_raise(line):
    parsed = parse(line)
    assert isinstance(parsed, (str, Line))


def test_a_hostile_line_of_many_groups_is_read_in_linear_time():
    parsed = parse(b"a:1" + b"|c:1" * 10_000 + b"|c")
    assert isinstance(parsed, Line)
    assert len(parsed.groups) == 10_001
