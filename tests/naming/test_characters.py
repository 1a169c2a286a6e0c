"""Characters: texts of the whole of Unicode become legal ones, and those that differ stay different."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.config.schema import RuleConfig
from relay.naming.characters import clean_key, clean_name, clean_pairs, clean_value
from relay.naming.punycode import punycode
from relay.naming.ruleset import Ruleset
from tests.naming.test_namer import LEGAL, dimensions, series

CLEAN = {"name": clean_name, "key": clean_key, "value": clean_value}
NOT_UTF8 = "\ufffd"

characters = st.one_of(
    st.sampled_from("ab.-_/ x1é北京上海ü\u3000\u2028\x85\U0001d54f"), st.characters(exclude_categories=["Cs"])
).filter(lambda char: char != NOT_UTF8)
texts = st.one_of(
    st.text(characters, max_size=30),
    st.builds(lambda text, times: text * times, st.text(characters, max_size=9), st.integers(1, 90)),
)
tag_texts = texts.map(lambda text: "".join(char for char in text if char not in ",:;=")).filter(
    lambda text: not text.startswith("dd.internal.")
)


def ascii_rewritten(text: str, *, is_value: bool) -> str:
    """The text with the illegal characters of ASCII rewritten, and the others left."""
    if not is_value:
        text = re.sub(r"[/-]|[\t-\r\x1c-\x1f ]+", "_", text)
    return re.sub(r"[^0-9A-Za-z._\x80-\U0010ffff]", "_" if is_value else "", text)


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("北京", "xn__1lq90i"),
        ("上海", "xn__fhqz97e"),
        ("订单", "xn__4kr132k"),
        ("näme", "xn__nme_qla"),
        ("shop.订单.ok-1", "shop.xn__4kr132k.ok_1"),
        ("a_b é", "xn__a_b__epa"),
        ("web.hits", "web.hits"),
        ("web hits  now", "web_hits_now"),
    ],
)
def test_a_part_that_is_not_ascii_becomes_punycode(text, legal):
    assert clean_name(text) == clean_key(text) == legal


def test_a_value_is_rewritten_as_a_name_but_for_its_ascii():
    assert clean_value("北京 - 1.上海!") == "xn_____1_4x5f27u.xn____ko6ap91h"
    assert clean_value("a  b!") == "a__b_"


@pytest.mark.parametrize(("raw", "name", "value"), [(b"a\xffb", "ab", "a_b"), (b"\xe5\x8c", "", "_")])
def test_bytes_that_are_not_utf_8_are_dropped_or_underscored(raw, name, value):
    text = raw.decode("utf-8", "replace")
    assert (clean_name(text), clean_value(text)) == (name, value)
    assert clean_name(raw.decode("utf-8", "surrogateescape")) == name


@given(st.text(characters, max_size=60))
def test_punycode_is_that_of_the_standard_library(text):
    assert punycode(text, most=10_000) == text.encode("punycode").decode()


@given(st.sampled_from(sorted(CLEAN)), texts, texts)
def test_texts_that_differ_stay_different(place, first, second):
    first, second = (ascii_rewritten(text, is_value=place == "value") for text in (first, second))
    assume(first != second)
    assume(not first.isascii() and not second.isascii())
    assert CLEAN[place](first) != CLEAN[place](second)


@given(st.sampled_from(sorted(CLEAN)), texts)
def test_what_was_rewritten_before_is_rewritten_as_before(place, text):
    assert CLEAN[place](text) == CLEAN[place](ascii_rewritten(text, is_value=place == "value"))


@given(tag_texts, tag_texts)
def test_names_keys_and_values_that_differ_are_different_series(first, second):
    """Through the whole of naming: legal, within the length, and none of them left out."""
    assume(not first.isascii() and not second.isascii())
    for make_series, is_value in (
        (series, False),
        (lambda text: series(b"m", text + b":1"), False),
        (lambda text: series(b"m", b"k:" + text), True),
    ):
        one, other = (make_series(text.encode()) for text in (first, second))
        for found in (one, other):
            assert LEGAL.fullmatch(found.metric)
            assert len(found.metric) <= 255
            assert all(LEGAL.fullmatch(text) for pair in found.dimensions for text in pair)
            assert sum(len(key) + len(value) + 2 for key, value in found.dimensions) <= 255
        is_same = ascii_rewritten(first, is_value=is_value) == ascii_rewritten(second, is_value=is_value)
        assert (one == other) == is_same


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_many_texts_at_once_are_what_each_is_alone(pairs):
    alone = [(clean_key(key), clean_value(value)) for key, value in pairs]
    assume(sum(len(text) for pair in alone for text in pair) <= 255)
    assert list(clean_pairs(pairs)) == alone


@given(st.integers(1, 40), st.randoms())
def test_more_than_a_point_can_take_is_cut_shorter_and_stays_different_in_any_order(length, random):
    pairs = [(f"键{number}" + "京" * length, f"{number}值" * length) for number in range(64)]
    found = dict(zip(pairs, clean_pairs(pairs), strict=True))
    assert len({key for key, _ in found.values()}) == len({value for _, value in found.values()}) == 64
    assert all(LEGAL.fullmatch(text) and len(text) <= 100 for pair in found.values() for text in pair)
    shuffled = random.sample(pairs, len(pairs))
    assert dict(zip(shuffled, clean_pairs(shuffled), strict=True)) == found


@pytest.mark.parametrize("clean", CLEAN.values())
def test_what_is_too_long_is_cut_with_a_hash(clean):
    limit = 255 if clean is clean_name else 100
    one, other = clean("北京" * 200 + "a"), clean("北京" * 200 + "b")
    assert one != other
    assert len(one) == len(other) == limit
    assert one[:-9] == other[:-9]
    assert one[-9] == "."


def test_a_key_and_a_value_that_are_too_long_fit_beside_a_host():
    long = ("京" * 300).encode()
    assert len(dimensions(b"m", long + b":" + long, tags={"host": "h" * 45})) == 2


def test_settings_and_rules_know_the_same_characters():
    rules = Ruleset(
        [RuleConfig(match="**", metric="订单.$1", rename_tags={"城市": "city"}, tags={"area": "东"})], re2=None
    )
    found = series(b"ok", "城市:北京".encode(), prefix="商店", tags={"host": "主机"}, rules=rules)
    assert found.metric == f"{clean_name('商店')}.xn__4kr132k.ok"
    assert dict(found.dimensions) == {"host": clean_value("主机"), "city": "xn__1lq90i", "area": clean_value("东")}
