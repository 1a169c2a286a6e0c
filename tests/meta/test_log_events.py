"""Every event of the log is in the reference, with code and fields; `RelayProcess` checks what relays really log."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import relay
from relay.errors import CODES
from relay.supervisor.log_format import TIMES
from tests.support.log_reference import events, problems, types

ROOT = Path(relay.__file__).parent
METHODS = ("warn", "debug", "info", "warning", "error")
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
TEXTS = {
    node.value
    for tree in TREES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}


def is_log_call(node: ast.AST) -> bool:
    """Say whether this is a call of a logger, with an event."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    name = ast.unparse(node.func)
    owner, _, method = name.rpartition(".")
    is_access_log = method == "log" and (owner == "guard" or owner.endswith("[GUARD]"))
    return (method in METHODS and "log" in owner.lower()) or name in ("_log", "self._warn") or is_access_log


def texts_of(node: ast.expr) -> set[str]:
    """Return the events that an argument may be: a text, or one of two."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return texts_of(node.body) | texts_of(node.orelse)
    return set()


CALLS = [
    (f"{path.relative_to(ROOT)}:{node.lineno}", text)
    for path, tree in TREES.items()
    for node in ast.walk(tree)
    if is_log_call(node)
    for text in sorted(texts_of(node.args[0]))
    if not path.is_relative_to(ROOT / "cli") and text not in ("info", "wrong link", "wrong token")
]


@pytest.mark.parametrize(("place", "text"), CALLS, ids=str)
def test_every_event_is_in_the_reference(place, text):
    assert text in events(), place


@pytest.mark.parametrize("name", events(), ids=str)
def test_every_event_of_the_reference_exists(name):
    assert name in TEXTS


def test_every_code_and_every_field_exists():
    assert {code for event in events().values() for code in event.codes} <= set(CODES)
    used = {field for event in events().values() for field in event.fields}
    assert set(types()) <= used
    assert len(CALLS) > 40
    assert all(types()[field] is str for field in TIMES if field in used)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"event": "nonsense"}, ["'nonsense' is not in the reference"]),
        ({"code": "RLY305"}, ["'lines rejected': code RLY305"]),
        ({"lines": "3"}, ["'lines rejected': lines = '3'"]),
        ({"count": 3}, ["'lines rejected': field count"]),
    ],
)
def test_the_check_finds_what_is_wrong(changes, wrong):
    good = {"timestamp": "2026-12-01T01:49:02.000Z", "level": "debug", "code": "RLY301", "event": "lines rejected"}
    assert problems({**good, "reason": "bad_value", "lines": 3, **changes}) == wrong


def test_the_check_knows_times_and_the_order_of_the_head():
    late = {"event": "window recovered", "timestamp": "2026-12-01T01:49:02.000Z", "level": "info", "window": 5}
    assert problems(late) == ["'window recovered': order", "'window recovered': window = 5"]
