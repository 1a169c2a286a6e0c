"""The two formats of a log line."""

from __future__ import annotations

import json
import os
import pty
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.supervisor.log import LogStream, SupervisorLog, has_colour
from relay.supervisor.log_format import BLOCK, SAYS, TextFormat, as_date, as_json, as_timestamp

NOON = 1_764_590_830.1234
"""2025-12-01 12:07:10 in UTC."""


@pytest.fixture(autouse=True)
def _shanghai(monkeypatch):
    monkeypatch.setenv("TZ", "CST-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(level: str, event: str, *, width: int = 80, **fields) -> list[str]:
    return TextFormat(date=as_date(NOON)).render(level, event, fields, now=NOON, width=width).splitlines()


def test_json_has_time_level_code_and_event_first():
    fields = {"reason": "bad_value", "code": "RLY301", "window": 1_764_590_820, "lines": 3, "sender": None, SAYS: "x"}
    assert as_json("warning", "lines rejected", fields, now=NOON) == (
        '{"timestamp": "2025-12-01T12:07:10.123Z", "level": "warning", "code": "RLY301", "event": "lines rejected",'
        ' "reason": "bad_value", "window": "2025-12-01T12:07:00.000Z", "lines": 3}'
    )
    assert "code" not in json.loads(as_json("info", "reloaded", {"code": ""}, now=NOON))


def test_a_rounded_second_carries():
    assert as_timestamp(59.9996) == "1970-01-01T00:01:00.000Z"


def test_text_has_local_time_with_seconds_and_the_date_once_a_day():
    text = TextFormat()
    lines = [
        text.render("info", "tick", {}, now=now, width=80)
        for now in (NOON, NOON + 1, NOON + 86_400, NOON + 86_400 - NOON % 1 - 10)
    ]
    assert lines == [
        "2025-12-01 +08:00\n20:07:10  tick",
        "20:07:11  tick",
        "2025-12-02 +08:00\n20:07:10  tick",
        "20:07:00  tick",
    ]
    assert TextFormat(date="2025-12-01 +08:00").render("info", "tick", {}, now=NOON, width=80) == "20:07:10  tick"


def test_a_full_minute_keeps_its_seconds():
    assert TextFormat().render("info", "tick", {}, now=1_764_590_820.0, width=80).endswith("20:07:00  tick")


def test_a_problem_has_level_code_and_sentence_and_its_fields_wrap_below_one_another():
    said = {"cloud": '"HTTP 401 the signature does not match"; clock +0.3 s', "code": "RLY120"}
    fix = "replace key JDC_..4F2A in /run/secrets/jdcloud/access-key, which is read every 5 s"
    assert shown("error", "finding began", **said, sentence="nothing delivered since 12:07", fix=fix) == [
        "20:07:10  error RLY120  nothing delivered since 12:07",
        '          cloud  "HTTP 401 the signature does not match"; clock +0.3 s',
        "          fix    replace key JDC_..4F2A in /run/secrets/jdcloud/access-key,",
        "                 which is read every 5 s",
    ]


def test_fields_have_units_and_stay_whole():
    fields = {"asked_bytes": 8 << 20, "idle_seconds": 1.5, "lines": 51_180, "pid": 17_685, "is_late": True, "tees": []}
    assert shown("info", "listening", width=60, **fields, listener="udp://127.0.0.1:8125") == [
        "20:07:10  listening  asked 8.0 MiB  idle 1.5 s  lines 51 180",
        "          pid 17685  is late yes",
        "          listener udp://127.0.0.1:8125",
    ]


def test_a_note_is_called_so_and_a_change_is_an_arrow():
    fields = {"code": "RLY302", "received": "web-1.hits", "sent_as": "web_1.hits"}
    assert shown("info", "names or tags rewritten", **fields) == [
        "20:07:10  RLY302  names or tags rewritten  web-1.hits -> web_1.hits"
    ]
    note = {"severity": "note", "sentence": "1 name rewritten", "next": "explain RLY302", "reason": "x"}
    assert shown("info", "finding began", code="RLY302", **note) == ["20:07:10  note RLY302  1 name rewritten"]


def test_the_caret_stands_below_the_bad_byte_of_a_line_that_is_cut():
    line, column = "a" * 300 + "x" + "b" * 100, 301
    *_, excerpt, caret = shown("warning", "lines rejected", line=line, column=column)
    assert excerpt[caret.index("^")] == "x"
    assert max(len(excerpt), len(caret)) <= 80


def test_own_lines_have_no_time_and_none_at_all_is_nothing():
    assert shown("info", "started", **{BLOCK: ["statsd-relay", "listening   udp"]}) == [
        "statsd-relay",
        "listening   udp",
    ]
    assert shown("info", "listening", **{BLOCK: []}) == []


FIELDS = st.sampled_from(["fix", "cloud", "line", "metric", "why", "sentence"])


@given(st.dictionaries(FIELDS, st.text(max_size=200)), st.integers(40, 200))
def test_every_event_fits_but_for_long_words(fields, width):
    longest = max((len(ascii(word)) for value in fields.values() for word in value.split(" ")), default=0)
    for line in shown("warning", "lines rejected", width=width, **fields):
        assert line.isprintable()
        assert len(line) <= max(width, 10 + len("metric ") + 10 * longest)


def test_words_wrap_at_the_width():
    lines = shown("warning", "lines rejected", width=40, why="one two three four five six seven eight")
    assert lines[-2:] == ["          why    one two three four five", "                 six seven eight"]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": "", "TERM": "xterm"}, True)],
)
def test_the_level_is_coloured_on_a_terminal_alone(monkeypatch, environ, wanted):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reads, writes = pty.openpty()
    with open(writes, "w") as terminal:  # noqa: PTH123 - a descriptor
        assert has_colour(terminal) is wanted
        stream = LogStream(terminal, is_text=True)
        stream.write("12:07:10  warning RLY301  an error \x1b[31mrows\n")
        seen = os.read(reads, 1000).decode()
    os.close(reads)
    word = "\x1b[33mwarning\x1b[0m" if wanted else "warning"
    assert seen == f"12:07:10  {word} RLY301  an error \\x1b[31mrows\r\n"


def test_a_file_has_no_colour_and_eighty_columns(tmp_path):
    with (tmp_path / "log").open("w") as file:
        assert not has_colour(file)
        assert LogStream(file, is_text=True).width == 80


def test_the_supervisor_writes_the_formats_of_the_worker(capsys):
    SupervisorLog(is_text=False, level="info").warning("worker died", code="RLY501", why="exit code 70")
    SupervisorLog(is_text=True, level="info", date=as_date(time.time())).error("worker died", code="RLY501", pid=7)
    SupervisorLog(is_text=True, level="error").warning("not shown")
    as_json_, text = capsys.readouterr().err.splitlines()
    event = json.loads(as_json_)
    assert list(event) == ["timestamp", "level", "code", "event", "why"]
    assert text[8:] == "  error RLY501  worker died  pid 7"
