"""Regexes: their captures; every regex is fast; without google-re2 each is refused."""

from __future__ import annotations

import time

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import limits
from relay.patterns import NoEngineError, PatternError
from relay.patterns.regexes import Regex, find_re2


@pytest.mark.parametrize(
    ("regex", "name", "captures"),
    [
        (r"^web\.([^.]+)\.(count|sum)$", "web.shop.sum", ("shop", "sum")),
        (r"debug", "a.debug.b", ()),
        (r"^debug", "a.debug.b", None),
        (r"(.*)\.(.*)", "a.b.c", ("a.b", "c")),
        (r"(.*?)\.(.*)", "a.b.c", ("a", "b.c")),
        (r"(?i)WEB(\d+)", "web12", ("12",)),
        (r"a(b)?c(?P<x>d)", "acd", ("", "d")),
        (r"\bx\b", "a.x.b", ()),
        (r"\w", "é", None),
        (r"^.$", "é", ()),
        (r"a{2,3}", "baab", ()),
        ("[[:alpha:]]x", "1ax", ()),
        (r"\pL+", "1é", ()),
        (r"\Qa.b\E", "axb", None),
        ("xa{,3}y", "xa{,3}y", ()),
    ],
)
def test_captures_in_a_name(regex, name, captures):
    found = Regex(regex, re2)
    assert found.captures(name) == captures
    if captures is not None:
        assert found.groups == len(captures)


def test_named_captures_have_their_numbers():
    assert dict(Regex("(a)(?P<who>b)", re2).names) == {"who": 2}


def test_a_name_that_could_not_be_sent_is_not_matched():
    regex = Regex("a", re2)
    assert regex.captures("a" * limits.NAME_BYTES) == ()
    assert regex.captures("a" * (limits.NAME_BYTES + 1)) is None


@pytest.mark.parametrize(
    "regex",
    [
        "(",
        "a**",
        "[z-a]",
        r"(?x) a",
        r"(?u)\w",
        r"(?=a)b",
        r"(?<!a)b",
        r"(a)\1",
        r"(?(1)a|b)",
        "(?>a)",
        "a++",
        "x{5,2}",
    ],
)
def test_invalid_regexes(regex):
    with pytest.raises(PatternError, match="is not a valid regex") as caught:
        Regex(regex, re2)
    assert not isinstance(caught.value, NoEngineError)


def test_without_google_re2_there_are_no_regexes(monkeypatch):
    assert find_re2() is re2
    monkeypatch.setitem(__import__("sys").modules, "re2", None)
    assert find_re2() is None
    with pytest.raises(NoEngineError, match="not installed") as caught:
        Regex("a", None)
    assert "statsd-relay[re2]" in caught.value.fix


@pytest.mark.parametrize(
    "regex",
    [
        r"a\.b\.(.*)\.rq_(.*)", r"^(.*)\.(.*)\.(.*)$", r"(.*)\.(.*)--(.*)\.status\.(.*)\.count", "(a+)+$",
        "(a|a)*c", "(.*)*x", "a?" * 25 + "a" * 25, "(a?){30}a{30}",
    ],
)  # fmt: skip
def test_a_regex_that_is_exponential_when_backtracking_is_fast(regex):
    compiled = Regex(regex, re2)
    names = ("a" * limits.NAME_BYTES, "a.b." * 63, "a.b." + "rq_." * 62)
    began = time.process_time()
    for name in names:
        compiled.captures(name)
    assert time.process_time() - began < 0.5


REGEXES = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^b]", r"\w", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2,4}", "{3}", "{,2}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(REGEXES, st.sampled_from(["", "^", ".*", ".+", "(?i)", "(?i:A)"]), st.text("ab.,{}2", max_size=8))
def test_shortcuts_find_what_the_engine_finds(text, start, name):
    pattern = f"{start}{text}ab?"
    found = re2.search(pattern, name)
    assert Regex(pattern, re2).captures(name) == (tuple(group or "" for group in found.groups()) if found else None)


def test_a_thousand_regexes_are_fast():
    regexes = [Regex(rf"^web\.(.*)\.(.*)\.r{number}$", re2) for number in range(1000)]
    name = "web." * 60
    began = time.process_time()
    assert not any(regex.captures(name) for regex in regexes)
    assert time.process_time() - began < 0.02


def test_a_regex_that_python_reads_differently_has_no_shortcut():
    assert Regex("[[:alpha:]]x", re2).captures("1ax") == ()
