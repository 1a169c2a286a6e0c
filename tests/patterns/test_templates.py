"""Templates: captures in texts."""

from __future__ import annotations

import pytest

from relay.patterns import PatternError
from relay.patterns.templates import Template


@pytest.mark.parametrize(
    ("text", "rendered"),
    [("web", "web"), ("$1", "x"), ("a.$2.$1b", "a.y.xb"), ("${1}0-${2}", "x0-y"), ("$1$1", "xx"), ("", "")],
)
def test_rendering(text, rendered):
    assert Template(text, 2).render(("x", "y")) == rendered


def test_a_capture_that_looks_like_one_is_not_read_again():
    assert Template("$1", 2).render(("$2", "y")) == "$2"


@pytest.mark.parametrize("text", ["$3", "$0", "${3}", "$10", "$", "a$b", "${x}", "$$1", "${1"])
def test_invalid_templates(text):
    with pytest.raises(PatternError) as caught:
        Template(text, 2)
    assert caught.value.fix


def test_without_captures_the_fix_explains_captures():
    with pytest.raises(PatternError) as caught:
        Template("$1", 0)
    assert "star or group" in caught.value.fix
