"""Prepared lines: the computed totals are those of the lines."""

from __future__ import annotations

import random
from itertools import cycle, islice

import pytest

from relay.hotpath.explain import find_error
from relay.tools.traffic.mix import TYPES, Mix, Total


def make(**changes) -> Mix:
    settings = {"types": TYPES, "series": 60, "lines": 7, "draw": random.Random(1).randrange}
    return Mix(**{**settings, **changes})


def add_up(datagrams) -> dict[str, Total]:
    """Count line by line."""
    found: dict[str, Total] = {}
    last: dict[str, int] = {}
    members: set[tuple[str, str]] = set()
    names: set[tuple[str, str]] = set()
    for line in b"\n".join(datagrams).decode().split("\n"):
        name, value, kind = line.partition("|#")[0].replace("|", ":").split(":")
        total = found.setdefault(kind, Total())
        total.lines += 1
        total.series += (kind, name) not in names
        names.add((kind, name))
        if kind == "g":
            total.sum += int(value) - last.get(name, 0)
            last[name] = int(value)
        elif kind == "s":
            total.sum += (name, value) not in members
            members.add((name, value))
        else:
            total.sum += int(value)
    return found


@pytest.mark.parametrize("sent", [0, 1, 5, 1_428, 1_429, 1_430, 5_000])
@pytest.mark.parametrize("changes", [{}, {"types": ["c"], "series": 1, "tags": "env:test,bare"}])
def test_totals_are_those_of_what_is_sent(sent, changes):
    mix = make(**changes)
    assert len(mix.datagrams) == 1_429, "a round is 10,000 lines, in whole datagrams"
    assert mix.totals(sent) == (add_up(islice(cycle(mix.datagrams), sent)) if sent else {})


def test_every_line_is_a_good_one_and_every_series_is_there():
    mix = make(series=11_000, tags="env:test,service:web")
    lines = [line for datagram in mix.datagrams for line in datagram.split(b"\n")]
    assert {find_error(line) for line in lines} == {None}
    assert {datagram.count(b"\n") + 1 for datagram in mix.datagrams} == {7}
    assert len({line.partition(b":")[0] for line in lines}) == 11_000
    assert all(line.endswith(b"|#env:test,service:web") for line in lines)


def test_a_seed_makes_the_same_lines():
    assert make(draw=random.Random(5).randrange).datagrams == make(draw=random.Random(5).randrange).datagrams
    assert make(draw=random.Random(5).randrange).datagrams != make(draw=random.Random(6).randrange).datagrams


def test_a_datagram_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"5000 lines make [0-9,]+ bytes; a datagram holds 65,507"):
        make(lines=5_000)
