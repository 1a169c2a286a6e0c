"""What `run` reports at its start, of each window, and at its end."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import msgspec
import pytest
import structlog

from relay.config.schema import CloudConfig, LogConfig, RuleConfig, TeeConfig
from relay.daemon.lifecycle.in_force import ConfigInForce
from relay.daemon.lifecycle.shutdown import ShutdownReport
from relay.daemon.log import configure_log, text_logger
from relay.daemon.reports.reporter import Reporter, describe_window
from relay.errors import ConfigError, Problem
from relay.ledger import WindowRecord
from tests.support.inprocess import open_relay


@pytest.fixture
def shown():
    """A reporter of text, and what it has written."""
    stream = io.StringIO()

    def lines() -> list[str]:
        return stream.getvalue().splitlines()

    def reporter(**changes) -> Reporter:
        return Reporter(log=text_logger(stream), **changes)

    return reporter, lines


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
async def test_the_last_line_reports_the_open_window(tmp_path, shown, fate, told):
    reporter, lines = shown
    async with open_relay(tmp_path) as running:
        books = running.relay.status.books()
    stopped = ShutdownReport(seconds=0.1, books=books, **fate)
    assert describe_window(stopped) == told
    reporter().stopped(stopped)
    text = " ".join(line.strip() for line in lines()[1:])
    head = "handing over: sockets stay open" if "is_handed_over" in fate else "stopped: sockets are closed"
    assert text[10:] == f"{head}, {told}; 0 points delivered, 0 waiting; nothing lost (0.1 s)"


async def test_the_first_lines_say_what_runs_where_and_fit_the_terminal(tmp_path, shown):
    reporter, lines = shown
    tags = {"host": "web-1", "env": "production"}
    async with open_relay(tmp_path, tags=tags) as running:
        running.relay.in_force = ConfigInForce(path=Path("/etc/statsd-relay/relay.toml"))
        reporter().started(running.relay)
        state, port = running.relay.state, running.relay.listeners[0].bound[1]
    first, *rest = lines()
    pattern = r"statsd-relay \S+  (native|python)  Python [\d.]+ +[\d-]{10} [\d:]{8} [+-]\d\d:\d\d"
    assert re.fullmatch(pattern, first)
    assert len(first) == 80
    text = " ".join(line.strip() for line in rest)
    assert f"listening   udp 127.0.0.1:{port}, buffer 8 MiB as asked" in text
    assert "dimensions  host=web_1 (from web-1) env=production, on every series" in text
    assert f"{state}, nothing waits" in text
    assert "config      /etc/statsd-relay/relay.toml" in text
    assert all(len(line) <= 80 or len(line[12:].split()) == 1 for line in rest), "a long word is not cut"
    assert not any("<" in line for line in rest), "no repr"


@pytest.mark.parametrize("listen", [["127.0.0.1:0"], ["127.0.0.1:0", "[::1]:0"]], ids=len)
async def test_both_families_stand_in_one_line(tmp_path, shown, listen):
    reporter, lines = shown
    async with open_relay(tmp_path) as running:
        config = running.relay.config
    config = msgspec.structs.replace(config.listen, udp=listen)
    async with open_relay(None, listen=config) as running:
        reporter(width=120).started(running.relay)
        places = [listener.label.removeprefix("udp://") for listener in running.relay.listeners]
    [line] = [line for line in lines() if line.startswith("listening   udp")]
    assert line.startswith(f"listening   udp {' and '.join(places)}, buffer")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        (
            {
                "rule": [RuleConfig(match="a.**"), RuleConfig(match="b.**")],
                "tee": [TeeConfig(to="127.0.0.1:9"), TeeConfig(to="[::1]:9")],
            },
            ["rules       2", "tees        127.0.0.1:9, [::1]:9"],
        ),
    ],
)
async def test_the_first_lines_name_rules_and_tees(tmp_path, shown, changes, told):
    reporter, lines = shown
    async with open_relay(tmp_path, **changes) as running:
        reporter().started(running.relay)
    assert [line for line in lines() if line.startswith(("rules", "tees"))] == told


@pytest.mark.parametrize(("provider", "told"), [("file", "file /dev/null"), ("stdout", "standard output")])
async def test_a_destination_without_credentials_is_named(tmp_path, shown, provider, told):
    reporter, lines = shown
    async with open_relay(tmp_path) as running:
        running.relay.config = msgspec.structs.replace(
            running.relay.config, cloud=CloudConfig(provider=provider, file="/dev/null")
        )
        running.relay.credentials = None
        reporter().started(running.relay)
    assert f"sending     {told}" in lines()


def test_a_window_has_what_became_of_its_points(shown, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    reporter, lines = shown
    window = {"start": 43_620, "seconds": 60, "stored_at": 43_681.0, "late": 1.0, "lines": 184_201, "requests": 69}
    window |= {"rejected": {"bad_value": 14}, "kernel_drops": 3, "samples": 1, "samples_dropped": {}, "series": 9}
    window |= {"points": 3412}
    told = reporter()
    told.closed(WindowRecord(**window, delivered=3412), lost=17)
    told.closed(WindowRecord(**window, delivered=1, refused=2, dropped={"spool_full": 3}), lost=20)
    assert [line[10:] for line in lines()[1:]] == [
        "12:07  184 201 lines  3 412 points  delivered 3 412  waiting 0",
        "lost 17",
        "12:07  184 201 lines  3 412 points  delivered 1  waiting 3 406",
        "refused 2  dropped 3  lost 20",
    ]


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
                running.relay._reporter = Reporter()
                await running.feed(b"a:1|c")
                await running.delivered("a", 1)
            assert running.relay.status.books().imbalance() == 0
        finally:
            structlog.reset_defaults()
            monkeypatch.undo()
