"""What `run` reports at its start and its end."""

from __future__ import annotations

import io
import os

import pytest
import structlog

from relay.config.schema import LogConfig, RuleConfig, TeeConfig
from relay.daemon.lifecycle.shutdown import ShutdownReport
from relay.daemon.log import configure_log
from relay.daemon.reporter import TextReporter, describe_window
from relay.errors import ConfigError, Problem
from tests.support.inprocess import open_relay


@pytest.mark.parametrize(
    ("fate", "told"),
    [
        ({"closed_early": True, "is_kept": False}, "open window closed early"),
        ({"closed_early": False, "is_kept": True}, "open window kept on disk for the next start"),
        ({"closed_early": False, "is_kept": False}, "open window dropped"),
        (
            {"closed_early": False, "is_kept": True, "is_handed_over": True},
            "open window kept on disk for the next worker",
        ),
    ],
)
async def test_the_last_line_reports_the_open_window(tmp_path, capsys, fate, told):
    async with open_relay(tmp_path) as running:
        books = running.relay.status.books()
    stopped = ShutdownReport(seconds=0.1, books=books, **fate)
    assert describe_window(stopped) == told
    TextReporter(where="", to="", credentials="").stopped(stopped)
    [line] = capsys.readouterr().out.splitlines()[-1:]
    head = "handing over: sockets stay open" if "is_handed_over" in fate else "stopping: sockets closed"
    assert line.startswith(f"{head}, {told}; 0 points delivered, 0 spooled; nothing lost (0.1 s)")


async def test_the_first_lines_name_the_state_directory_and_the_backlog(tmp_path, capsys):
    async with open_relay(tmp_path) as running:
        TextReporter(where="", to="", credentials="").started(running.relay)
        state = running.relay.state
    lines = capsys.readouterr().out.splitlines()
    assert f"state      {state}   nothing waits to be sent" in lines
    assert not any("<" in line for line in lines), "no repr"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        (
            {
                "rule": [RuleConfig(match="a.**"), RuleConfig(match="b.**")],
                "tee": [TeeConfig(to="127.0.0.1:9"), TeeConfig(to="[::1]:9")],
            },
            ["rules      2", "tee        127.0.0.1:9, [::1]:9"],
        ),
    ],
)
async def test_the_first_lines_name_rules_and_tees(tmp_path, capsys, changes, told):
    async with open_relay(tmp_path, **changes) as running:
        TextReporter(where="", to="", credentials="").started(running.relay)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("rules", "tee"))] == told


def test_problems_fit_into_one_log_line():
    where = {"source": "relay.toml", "line": 7, "column": 1, "text": "bogus = 1"}
    first = Problem(code="RLY102", message="unknown key bogus in [window]", fix="known: seconds", **where)
    second = Problem(code="RLY110", message="no credentials")
    assert ConfigError(first, second).brief() == (
        "relay.toml:7 unknown key bogus in [window] (known: seconds); no credentials"
    )


async def test_a_closed_output_ends_no_relay(tmp_path, monkeypatch):
    """`run | head`, or a collector of logs that died: windows go on closing, and the books balance."""
    reads, writes = os.pipe()
    os.close(reads)
    with io.TextIOWrapper(io.FileIO(writes, "w"), write_through=True) as gone:
        monkeypatch.setattr("sys.stdout", gone)
        monkeypatch.setattr("sys.stderr", gone)
        try:
            configure_log(LogConfig(format="text"))
            structlog.get_logger("relay").warning("nobody hears this")
            async with open_relay(tmp_path) as running:
                running.relay._reporter = TextReporter(where="", to="", credentials="")
                await running.feed(b"a:1|c")
                await running.delivered("a", 1)
            assert running.relay.status.books().imbalance() == 0
        finally:
            structlog.reset_defaults()
            monkeypatch.undo()
