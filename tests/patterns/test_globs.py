"""Globs compared with equivalent regexes: matches, the first match of many, and covering."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.patterns import PatternError
from relay.patterns.globs import NEVER, Glob, GlobTree

PARTS = st.sampled_from(["a", "b", "", "*"])
GLOBS = st.builds(
    lambda parts, tail: ".".join([*parts, *tail]), st.lists(PARTS, max_size=4), st.sampled_from([["**"], ["a"], ["*"]])
)
NAMES = st.lists(st.sampled_from(["a", "b", "c", "", "*"]), min_size=1, max_size=6).map(".".join)


def naive(glob: str) -> re.Pattern[str]:
    """Return the equivalent regex of a glob."""
    parts = {"*": "([^.]*)", "**": "(.*)"}
    return re.compile(r"\.".join(parts.get(part, re.escape(part)) for part in glob.split(".")))


@given(st.lists(GLOBS, max_size=12), NAMES)
def test_the_tree_agrees_with_a_loop_over_regexes(globs, name):
    tree = GlobTree()
    for number, glob in enumerate(globs):
        tree.add(Glob.parse(glob), number)
    matching = [number for number, glob in enumerate(globs) if naive(glob).fullmatch(name)]
    assert tree.first(name) == min(matching, default=NEVER)


@given(GLOBS, NAMES)
def test_captures_are_those_of_the_regex(glob, name):
    found = naive(glob).fullmatch(name)
    if found:
        parsed = Glob.parse(glob)
        assert parsed.captures(name) == found.groups()
        assert parsed.groups == len(found.groups())


@given(st.lists(GLOBS, max_size=6), GLOBS, st.lists(NAMES, max_size=20))
def test_a_covering_glob_matches_all_names_of_the_covered_one(globs, later, names):
    tree = GlobTree()
    for number, glob in enumerate(globs):
        tree.add(Glob.parse(glob), number)
    covering = tree.covering(Glob.parse(later))
    if covering != NEVER:
        own = naive(later)
        assert all(naive(globs[covering]).fullmatch(name) for name in names if own.fullmatch(name))
    assert (covering != NEVER) >= (later in globs)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("a.*", "a.b"),
        ("**", "a.*"),
        ("a.**", "a.b.**"),
        ("a.**", "a.*.c"),
        ("*.*", "a.b"),
        ("a.*", "a.*"),
        ("**", "**"),
    ],
)
def test_covered(earlier, later):
    tree = GlobTree()
    tree.add(Glob.parse(earlier), 7)
    assert tree.covering(Glob.parse(later)) == 7


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("a.b", "a.*"), ("a.*", "a.**"), ("a.*.**", "a.**"), ("a.*", "b.*"), ("a.**", "a"), ("*", "**")],
)
def test_not_covered(earlier, later):
    tree = GlobTree()
    tree.add(Glob.parse(earlier), 7)
    assert tree.covering(Glob.parse(later)) == NEVER


def test_a_name_of_dots_alone_is_fast():
    tree = GlobTree()
    tree.add(Glob.parse("a.**"), 1)
    tree.add(Glob.parse("*.*"), 2)
    assert tree.first("." * 60_000) == NEVER
    assert tree.first("a" + "." * 60_000) == 1


def test_many_stars_do_not_multiply():
    tree = GlobTree()
    for number in range(64):
        tree.add(Glob.parse(".".join("*a"[number >> bit & 1] for bit in range(6)) + ".end"), number)
    assert tree.first("a.a.a.a.a.a.end") == 0
    assert tree.first("a.a.a.a.a.a.no") == NEVER


@pytest.mark.parametrize(
    ("glob", "message", "fix"),
    [
        ("web*.x", 'part "web*"', r"'^web([^.]*)\.x$'"),
        ("a.*b*.**", 'part "*b*"', r"'^a\.([^.]*)b([^.]*)\.(.+)$'"),
        ("a.***", 'part "***"', "whole part"),
        ("a.**.b", "last part", "write *"),
    ],
)
def test_invalid_globs(glob, message, fix):
    with pytest.raises(PatternError, match=re.escape(message)) as caught:
        Glob.parse(glob)
    assert fix in caught.value.fix
