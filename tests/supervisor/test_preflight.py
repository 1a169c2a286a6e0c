"""A preflight check: the program on disk, by exec, and its result."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from relay.listener.addresses import SocketSpec
from relay.listener.socket_activation import CONFIGURATION_FD
from relay.supervisor.plan import Plan
from relay.supervisor.preflight import Preflight, PreflightResult, RefusedError, successor_plan
from relay.supervisor.protocol import PLAN, THOROUGH

MADE = Plan(
    wanted=SocketSpec(udp=[], receive_buffer=1), steady=1, state="/state", is_text=False, level="info", ingest="{}"
)
ANSWERING = """
import json, os, sys
from relay.listener.socket_activation import receive_configuration
given = sorted(name for name in os.environ if name.startswith("RELAY_") and "EXPECT" not in name)
plan = json.loads(sys.argv[1]) | {"text": receive_configuration(os.environ), "ingest": json.dumps(given), "later": 1}
os.write(int(os.environ["RELAY_PLAN"]), json.dumps(plan).encode())
"""


@pytest.fixture
def program(monkeypatch):
    """`program(code)` replaces the program on disk."""

    def become(code: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", code, *arguments])

    return become


@pytest.mark.parametrize("text", [None, "", "# ünïcode\n" * 50_000])
def test_the_plan_has_the_given_text(program, text):
    program(ANSWERING, MADE.to_json())
    result = Preflight(os.environ, text=text).wait()
    assert (result.plan.text, result.plan.state, result.code) == (text, "/state", 0)
    given = {PLAN, THOROUGH} | ({CONFIGURATION_FD} if text is not None else set())
    assert set(json.loads(result.plan.ingest)) == given
    assert successor_plan(result, state="/state") is result.plan


def test_a_first_start_imports_what_it_needs_and_writes_errors_to_the_terminal(program, capfd):
    program(ANSWERING + "sys.stderr.write('to the terminal')", MADE.to_json())
    result = Preflight(os.environ, is_first=True).wait()
    assert json.loads(result.plan.ingest) == [PLAN]
    assert (result.reason, capfd.readouterr().err) == ("", "to the terminal")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('why not')", "why not"),
        ("import nowhere.at.all", "the program does not start: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)", "the program has made no plan: exit code 3"),
        ("pass", "the program has made no plan: exit code 0"),
        ("import sys; sys.stderr.write('x' * 1_000_000); raise SystemExit(3)", "xxx"),
        ("import os; os.write(int(os.environ['RELAY_PLAN']), b'{}' ); raise SystemExit(3)", "exit code 3"),
    ],
)
def test_without_a_plan_there_is_a_reason(program, code, reason):
    program(code)
    result = Preflight(os.environ).wait()
    assert result.plan is None
    assert reason in result.reason
    assert len(result.reason) < 20_000
    with pytest.raises(RefusedError):
        successor_plan(result, state="/state")


@pytest.mark.parametrize("answered", ["{}", "[]", "nonsense", '{"wanted": {}}'])
def test_output_that_is_not_a_plan_is_a_reason(program, answered):
    program("import os, sys; os.write(int(os.environ['RELAY_PLAN']), sys.argv[1].encode())", answered)
    result = Preflight(os.environ).wait()
    assert result.plan is None
    assert result.reason.startswith("the program has made ")


def test_a_check_is_killed_at_its_deadline(program):
    program("import time; time.sleep(600)")
    preflight = Preflight(os.environ)
    preflight.deadline = 0
    assert "took more than" in preflight.wait().reason


def test_an_interpreter_that_has_gone_is_an_error(program, monkeypatch):
    program("pass")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(FileNotFoundError):
        Preflight(os.environ)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize(("state", "reason"), [("", "without a state directory"), ("/other", r"old \[spool\] path")])
def test_a_plan_that_would_lose_the_window_is_refused(state, reason):
    with pytest.raises(RefusedError, match=reason):
        successor_plan(PreflightResult(MADE._replace(state=state), 0, ""), state="/state")
