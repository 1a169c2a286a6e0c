"""Regexes: what they find in names with both engines, and which could take Python's one forever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.patterns import EndlessError, PatternError
from relay.patterns.cost import NAME_LENGTH
from relay.patterns.regexes import find_re2, judge

re2 = pytest.importorskip("re2")
ENGINES = pytest.mark.parametrize("engine", [None, re2], ids=["python", "re2"])


@ENGINES
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
    ],
)
def test_both_engines_find_the_same(regex, name, captures, engine):
    found = judge(regex, engine)
    assert found.captures(name) == captures
    if captures is not None:
        assert found.groups == len(captures)


@ENGINES
def test_a_name_that_could_not_be_sent_is_not_matched(engine):
    regex = judge("a", engine)
    assert regex.captures("a" * NAME_LENGTH) == ()
    assert regex.captures("a" * (NAME_LENGTH + 1)) is None


@ENGINES
@pytest.mark.parametrize(
    "regex",
    [
        "(", "a**", "[z-a]", r"(?x) a", r"(?u)\w", r"(?=a)b", r"(?<!a)b", r"(a)\1", r"(?(1)a|b)", "(?>a)", "a++",
        "[[:alpha:]]", "x{5,2}",
    ],
)  # fmt: skip
def test_what_no_rule_can_have(regex, engine):
    with pytest.raises(PatternError) as caught:
        judge(regex, engine)
    assert not isinstance(caught.value, EndlessError)


ENDLESS = [
    "(a+)+$", "(a*)*", "(a+b?)+c", "(a|a)*c", "(a|ab|b)*c", r"(\w+\s?)*$", r"([a-z]+[0-9]*)+x", "(a?){30}a{30}",
    "((a{1,3}){1,3})x", "((b|b))*.c", "(b(a?)?)*c", "(.*)*x", "(x+x+)+y", "(a|[^b])*c", "(.|a)+x", "a?" * 25 + "a" * 25,
    "(a|a)" * 25 + "x", r"^(.*)\.(.*)\.(.*)$", r"(.*)\.(.*)--(.*)\.status\.(.*)\.count", r"\d+\d+\d+x", "x" * 600,
]  # fmt: skip
FINE = [
    r"^(.*)\.(.*)$", r"(.*)\.(.*)\.count", r"^([^.]+)\.([^.]+)\.([^.]+)$", r"(\w+)\.(\w+)\.(\w+)", "(a|b)*c",
    r"(\w+\.)+x", r"([0-9]{1,3}\.){3}[0-9]{1,3}", "(get|put|post|patch)\\.([^.]+)", "[0-9a-f]{8}-[0-9a-f]{4}",
    r"^https?\.(.+)$", r"(?i)^web\.(.*)", r"^(stop|start|status|stat|state)[0-9]*\.(.*)$", "a.*b", "",
    "(?i)(a|A)*x",
]  # fmt: skip


@pytest.mark.parametrize("regex", ENDLESS)
def test_what_can_take_forever_is_refused_without_re2(regex):
    with pytest.raises(EndlessError) as caught:
        judge(regex, None)
    assert caught.value.fix
    assert judge(regex, re2)


@pytest.mark.parametrize("regex", FINE)
def test_what_cannot_is_used(regex):
    assert judge(regex, None)


REGEXES = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^b]", r"\w", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2,4}", "{3}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(REGEXES)
def test_what_is_used_takes_no_time_whatever_the_name(text):
    """10 ms are allowed; a pattern that doubles its ways would not end at all."""
    try:
        regex = judge(f"{text}c", None)
    except EndlessError:
        return
    for name in ("a" * NAME_LENGTH, "ab" * (NAME_LENGTH // 2), "b" * NAME_LENGTH, "aab" * (NAME_LENGTH // 3)):
        began = time.process_time()
        regex.captures(name)
        assert time.process_time() - began < 0.5, text


@settings(max_examples=150, deadline=None, derandomize=True)
@given(REGEXES, st.sampled_from(["", "^", ".*", ".+", "(?i)"]), st.text("ab.", max_size=8))
def test_shortcuts_find_what_the_engine_finds(text, start, name):
    pattern = f"{start}{text}ab?"
    try:
        regex = judge(pattern, None)
    except EndlessError:
        return
    found = re.compile(pattern, re.ASCII).search(name)
    assert regex.captures(name) == (tuple(group or "" for group in found.groups()) if found else None)


def test_more_than_any_character_repeated_is_looked_for_everywhere():
    assert judge("(?:.[^.])+", None).captures("a.b") == ()


def test_a_thousand_that_are_quadratic_take_a_name_no_time():
    regexes = [judge(rf"^web\.(.*)\.(.*)\.r{number}$", None) for number in range(1000)]
    name = "web." * 60
    began = time.process_time()
    assert not any(regex.captures(name) for regex in regexes)
    assert time.process_time() - began < 0.02


def test_without_the_module_there_is_no_re2(monkeypatch):
    assert find_re2() is re2
    monkeypatch.setitem(__import__("sys").modules, "re2", None)
    assert find_re2() is None
