"""`tap` beside a real relay: what a person sees, at a prompt, in a pipe and after Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import call
from tests.support.relay import environment, relay_process
from tests.support.screen import on_terminal
from tests.support.state import LONG_WINDOW

ROOT = Path(__file__).parents[2]
TIME = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  ", re.MULTILINE)


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    state = tmp_path_factory.mktemp("tap")
    rules = json.dumps([{"match": "web.debug.**", "action": "drop"}])
    environ = environment("http://127.0.0.1:1", state, WINDOW_SECONDS=str(LONG_WINDOW), RULE=rules)
    with relay_process(environ, state / "log") as running:
        yield running


class Tapping:
    """A `tap` command: its process, and what it has printed."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def wait_for(self, text: str) -> str:
        """Read standard error until a text comes; return what was read."""
        read, until = b"", time.monotonic() + 20
        while text.encode() not in read:
            assert time.monotonic() < until, read
            if select.select([self.process.stderr], [], [], 1)[0]:
                chunk = os.read(self.process.stderr.fileno(), 65_536)
                assert chunk, read
                read += chunk
        return read.decode()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Signal the command; return its exit code, output and errors."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out.decode(), err.decode()


@contextmanager
def tapping(relay, *arguments: str):
    command = [sys.executable, "-m", "relay", "tap", *arguments, "--admin", relay.admin]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    try:
        yield Tapping(process)
    finally:
        process.kill()
        process.communicate()


def read_line(process) -> str:
    assert select.select([process.stdout], [], [], 20)[0]
    return process.stdout.readline().decode()


def test_lines_with_what_becomes_of_each_until_ctrl_c(relay):
    with tapping(relay, "web.*") as tap:
        begun = tap.wait_for("Ctrl-C ends")
        relay.send(b"web.hits:1|c|#env:prod\nother:1|c\nweb.time:abc|ms\nweb.debug.sql:3|ms\nweb.\x1b[2J:1|c")
        rows = [read_line(tap.process) for _ in range(4)]
        code, out, err = tap.end()
    assert "tapping web.* as received on test, at most 20 lines/s; Ctrl-C ends" in begun
    assert [TIME.sub("", row).rstrip() for row in rows] == [
        "127.0.0.1  web.hits:1|c|#env:prod        counter  statsd/web.hits  env=prod host=test",
        '127.0.0.1  web.time:abc|ms               REJECTED bad_value: "abc" is no number',
        '127.0.0.1  web.debug.sql:3|ms            DROPPED  by rule 1 "web.debug.**"',
        "127.0.0.1  web.\\x1b[2J:1|c               counter  statsd/web.2J  host=test",
    ]
    assert (code, out) == (0, "")
    assert re.search(r"4 lines matched of 5 in \d+ s: 4 shown, 0 not shown \(--rate\), 0 lost by the tap\n$", err)


def test_raw_lines_for_a_pipe(relay):
    with tapping(relay, "--raw", "--rejected", "--rate", "2", "--for", "2s") as tap:
        tap.wait_for("rejected, as received on test, at most 2 lines/s")
        relay.send(b"a:1|c\n" + b"\n".join(b"bad%d" % number for number in range(5)))
        out, err = tap.process.communicate(timeout=20)
    assert out.decode() == "bad0\nbad1\n"
    assert "5 lines matched of 6 in 2 s: 2 shown, 3 not shown (--rate), 0 lost by the tap\n" in err.decode()


def test_the_events_of_the_api_as_json(relay):
    with tapping(relay, "--json", "--for", "1s", "--dropped") as tap:
        events = [json.loads(read_line(tap.process))]
        relay.send(b"web.debug.a:1|c\nkept:1|c")
        out, err = tap.process.communicate(timeout=20)
    events += map(json.loads, out.decode().splitlines())
    assert (tap.process.returncode, err) == (0, b"")
    assert events[0]["event"] == "start"
    assert [one["line"] for one in events if one["event"] == "line"] == ["web.debug.a:1|c"]
    assert events[-1]["is_last"]
    assert (events[-1]["matched"], events[-1]["shown"]) == (1, 1)


def test_nothing_matches(relay):
    relay.send(b"orders.total:1|c")
    with tapping(relay, "orders.totl", "--for", "12s") as tap:
        relay.send(b"orders.total:1|c\nx:1|c")
        _, err = tap.process.communicate(timeout=30)
    told = err.decode()
    assert re.search(r"\d lines? came, none matches orders.totl. Near: orders.total         explain NAME\n", told), told
    assert "0 lines matched of" in told


def test_a_fifth_tap_is_refused(relay):
    with tapping(relay) as one, tapping(relay) as two, tapping(relay) as three, tapping(relay) as four:
        for tap in (one, two, three, four):
            tap.wait_for("Ctrl-C ends")
        done = call("tap", "--admin", relay.admin)
    assert done.returncode == 69
    assert "answers 503: 4 taps are open, which is the most\n      fix: end one of them\n" in done.stderr


def test_a_killed_command_leaves_no_tap(relay):
    for _ in range(6):
        with tapping(relay) as tap:
            tap.wait_for("Ctrl-C ends")
            tap.end(signal.SIGKILL)
            time.sleep(0.3)
    with tapping(relay, "--for", "1s") as tap:
        assert "tapping" in tap.wait_for("Ctrl-C ends")


def test_the_relay_ends(tmp_path):
    environ = environment("http://127.0.0.1:1", tmp_path / "state", WINDOW_SECONDS=str(LONG_WINDOW))
    with relay_process(environ, tmp_path / "log") as running, tapping(running) as tap:
        tap.wait_for("Ctrl-C ends")
        running.kill()
        _, err = tap.process.communicate(timeout=20)
    assert tap.process.returncode == 69
    assert "error RLY101  the relay has ended, or answers no more" in err.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tag", "x"], "must be KEY=VALUE"),
        (["--from", "nowhere"], "must be an address such as 10.1.4.7"),
        (["--rate", "0"], "must be a whole number from 1 to 1000"),
        (["--for", "0"], "must be from 1ms"),
        (["--sent", "--raw"], "--raw has no meaning"),
        (["--sent", "--from", "10.0.0.1"], "a point that is sent has no sender"),
        (["x" * 256], "must have at most 255 bytes"),
        (["a", "b"], "unexpected extra argument"),
    ],
)
def test_a_wrong_argument(arguments, said):
    done = call("tap", *arguments)
    assert done.returncode == 64
    assert said in done.stderr


def test_no_relay():
    done = call("tap", "--admin", "127.0.0.1:1")
    assert done.returncode == 69
    assert done.stderr.startswith("error RLY101")


def test_rows_fit_the_terminal_and_no_name_controls_it(relay):
    with on_terminal("tap", "--admin", relay.admin, columns=80) as screen:
        screen.shows("Ctrl-C ends")
        relay.send(b"web.hits:1|c|#env:prod\nweb.\x1b[31mred:" + b"x" * 200 + b"|ms\n" + b"long." * 30 + b"name:1|c")
        screen.shows("web.\\x1b[31mred")
        screen.shows("long.long")
        screen.type(b"\x03")
        assert screen.ended() == 0
        screen.shows("3 lines matched of 3")
        rows = [line for line in screen.lines if TIME.match(line)]
    assert len(rows) == 3, "no row needs two lines"
    assert rows[0].startswith(rows[0][:14] + "127.0.0.1  web.hits:1|c|#env:prod  counter  statsd/web.hits")
    assert "REJECTED bad_value" in rows[1]
    assert b"\x1b[31m" not in screen.raw


def test_a_short_line_is_not_padded_if_its_reason_needs_the_room(relay):
    with on_terminal("tap", "--rejected", "--admin", relay.admin, columns=80) as screen:
        screen.shows("Ctrl-C ends")
        relay.send(b"web.time:abc|ms")
        screen.shows('web.time:abc|ms  REJECTED bad_value: "abc" is no number')
        screen.type(b"\x03")
        assert screen.ended() == 0
