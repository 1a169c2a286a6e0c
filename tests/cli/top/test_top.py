"""`top` on a real terminal beside a real relay: what it shows, its keys, and that it leaves the terminal as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.command import call
from tests.support.relay import environment, relay_process
from tests.support.screen import on_terminal

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
TRAFFIC = [
    b"\n".join(b"web.req:1|c|#request_id:%d,path:p%d" % (number, number % 4) for number in range(60)),
    b"web.time:12|ms\nweb.time:48|ms\njobs:3|g\nbroken:x|c",
]


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    """A relay with a window that does not close, without a cloud."""
    path = tmp_path_factory.mktemp("top")
    settings = {"WINDOW_SECONDS": "3600", "RULE": '[{"match": "web.*"}, {"match": "never"}]'}
    with relay_process(environment("http://127.0.0.1:1", path / "state", **settings), path / "log") as running:
        running.send(*TRAFFIC)
        ends = time.monotonic() + 20
        while running.metrics()["relay_series"] < 62:
            assert time.monotonic() < ends
        yield running


@pytest.fixture
def screen(relay):
    with on_terminal("top", "--admin", relay.admin) as shown:
        shown.shows("web.req")
        yield shown


def left(screen) -> bool:
    """Return whether the terminal is as it was: its screen, its cursor, its settings."""
    written = screen.raw
    is_given_back = written.rfind(LEFT) > written.rfind(ENTERED) >= 0
    return is_given_back and written.rfind(b"\x1b[?25h") > written.rfind(b"\x1b[?25l")


def restored(screen) -> bool:
    return left(screen) and termios.tcgetattr(screen.slave) == screen.before


def test_80_by_24_has_the_head_and_the_metrics(relay, screen):
    head = r"\d\d:\d\d:\d\d .*lines/s  drops 0  rejected [1-9]\d*  waiting 0  quota 0 %"
    relay.send(b"broken:x|c")
    screen.wait_for(lambda shown: re.match(head, shown.lines[0]))
    assert "5 min, max" in screen.lines[1]
    assert re.split(r"  +", screen.lines[2].strip())[:5] == ["METRIC 1-3 of 3", "TYPE", "LINES/S v", "SERIES", "+/MIN"]
    assert screen.lines[3].startswith(">web.req")
    assert "web.req: 60 of 10 000 series by request_id 60" in screen.text
    assert screen.lines[-1].startswith("[metrics]  tags  senders  rules  windows")
    assert max(map(len, screen.lines)) <= 80


def test_q_leaves_the_terminal_as_it_was(screen):
    screen.type(b"q")
    assert screen.ended() == 0
    assert restored(screen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(screen, number):
    screen.process.send_signal(number)
    screen.ended()
    assert restored(screen)


def test_ctrl_c_ends_it(screen):
    screen.type(b"\x03")
    screen.ended()
    assert restored(screen)


def test_an_exception_leaves_the_terminal_as_it_was(relay, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import relay.cli.top.live as live\n"
        "drawn = live._draw\n"
        "def draw(figures, view, terminal):\n"
        "    drawn(figures, view, terminal)\n"
        "    raise RuntimeError('a mistake of ours')\n"
        "live._draw = draw\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    with on_terminal("top", "--admin", relay.admin, PYTHONPATH=path) as shown:
        assert shown.ended() == 70
        shown.shows("a mistake of ours")
        assert restored(shown)


def test_tab_goes_through_the_tables(screen):
    for table, shown in (
        ("tags", "request_id"),
        ("senders", "127.0.0.1"),
        ("rules", "web.*"),
        ("windows", "nothing yet"),
    ):
        screen.type(b"\t")
        screen.shows(f"[{table}]")
        screen.shows(shown)
    screen.type(b"\x1b[Z")
    screen.shows("[rules]")
    screen.type(b"j")
    screen.shows("rule 2 has never matched")


def test_sort_and_reverse(screen):
    screen.type(b"s")
    screen.shows("SERIES v")
    screen.wait_for(lambda shown: shown.lines[3].startswith(">web.req"))
    screen.type(b"r")
    screen.wait_for(lambda shown: not shown.lines[3].startswith(">web.req"))
    screen.type(b"rss")
    screen.shows("METRIC v")


def test_filter(screen):
    screen.type(b"/tim")
    screen.shows("/tim_")
    screen.wait_for(lambda shown: "web.time" in shown.text and "jobs" not in shown.text)
    screen.type(b"\x7f\x7f\x7fnosuch\r")
    screen.shows("no row matches the filter")
    screen.type(b"\x1b")
    screen.shows("jobs")


def test_enter_shows_one_metric_and_escape_goes_back(screen):
    screen.type(b"\r")
    screen.shows("statsd/web.req  counter")
    screen.shows("55 more series")
    screen.type(b"\x1b")
    screen.shows("METRIC 1-3 of 3")


def test_hold_and_help(screen):
    screen.type(b" ")
    screen.shows("HELD")
    screen.type(b"?")
    screen.shows("sort by the next column")
    screen.type(b"?")
    screen.shows("METRIC")
    screen.type(b" ")
    screen.wait_for(lambda shown: "HELD" not in shown.text)


def test_the_right_hand_columns_go_first_and_a_resize_is_followed(screen):
    screen.resize(40, 10)
    screen.wait_for(lambda shown: "SEEN" not in shown.text and "METRIC" in shown.text)
    assert max(map(len, screen.lines)) <= 40
    screen.resize(120, 40)
    screen.shows("SEEN")
    assert len(screen.lines) == 40


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (500, 200)])
def test_a_terminal_of_any_size(relay, size):
    with on_terminal("top", "--admin", relay.admin, columns=size[0], lines=size[1]) as shown:
        shown.wait_for(lambda screen: screen.raw.count(b"\x1b[J") >= 2)
        shown.type(b"\r\t?q")
        shown.type(b"q")
        assert shown.ended() == 0


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "", "LC_CTYPE": "", "LANG": "C"},
        {"LC_ALL": "", "LC_CTYPE": "", "LANG": ""},
        {"LC_ALL": "de_DE.ISO-8859-1"},
    ],
)
def test_only_ascii_where_the_locale_is_not_utf_8(relay, environ):
    with on_terminal("top", "--admin", relay.admin, **environ) as shown:
        shown.shows("web.req")
        assert shown.raw.isascii()


def test_blocks_where_the_locale_is_utf_8(screen):
    screen.wait_for(lambda shown: any(block in shown.text for block in "▁▂▃▄▅▆▇█"))


def test_a_relay_that_ends_is_told_and_the_last_figures_stay(tmp_path):
    settings = {"WINDOW_SECONDS": "3600"}
    with relay_process(environment("http://127.0.0.1:1", tmp_path / "state", **settings), tmp_path / "log") as running:
        running.send(*TRAFFIC)
        with on_terminal("top", "--admin", running.admin) as shown:
            shown.shows("web.req")
            running.kill()
            shown.shows("NO ANSWER")
            assert "web.req" in shown.text
            shown.shows("no relay answers on")
            shown.type(b"q")
            assert shown.ended() == 0


def test_a_hostile_name_cannot_control_the_terminal(tmp_path):
    settings = {"WINDOW_SECONDS": "3600"}
    with relay_process(environment("http://127.0.0.1:1", tmp_path / "state", **settings), tmp_path / "log") as running:
        running.send(b"ok:1|c", b"\x1b]0;owned\x07:x|c")
        with on_terminal("top", "--admin", running.admin) as shown:
            shown.shows("ok")
            shown.type(b"\t\t")
            shown.shows("127.0.0.1")
            assert b"\x1b]0" not in shown.raw


# --- without a terminal ----------------------------------------------------------------------------------------------


def test_one_frame(relay):
    done = call("top", "--once", "--admin", relay.admin)
    assert (done.returncode, done.stderr.partition(":")[0]) == (0, "relay 127.0.0.1")
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert "web.req" in done.stdout
    assert json.loads(call("top", "--once", "--json", "--admin", relay.admin).stdout)["metrics"]


def test_one_object_a_second_until_the_reader_is_gone(relay):
    command = [sys.executable, "-m", "relay", "top", "--admin", relay.admin]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        objects = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdout.close()
        assert process.wait(20) in (0, 1, -signal.SIGPIPE, 130)
        assert "Traceback" not in process.stderr.read()
    assert [one["source"]["relay"] for one in objects] == [relay.admin] * 2
    assert {"lines_per_second", "rejected", "waiting", "quota", "level"} <= objects[0].keys()


def test_objects_end_with_a_signal(relay):
    command = [sys.executable, "-m", "relay", "top", "--json", "--admin", relay.admin]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 0


def test_without_a_relay():
    done = call("top", "--once", "--admin", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (69, "")
    assert "no relay answers on 127.0.0.1:1" in done.stderr
