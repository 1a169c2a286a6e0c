"""Bytes of others in what people read: nothing that a terminal obeys, reorders by or hides gets through."""

from __future__ import annotations

import io
import json
import re
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.cli.dead import in_words
from relay.cli.send import find_problem
from relay.cli.shared.output import say
from relay.config.schema import LogConfig
from relay.config.types import to_toml
from relay.daemon.log import configure_log
from relay.delivery.dead_letters.files import LetterFiles
from relay.delivery.dead_letters.format import DeadLetter, LetterLine
from relay.errors import Problem
from relay.naming.trace import _shown
from relay.supervisor.log import LogStream, SupervisorLog
from relay.tools.importers import FORMATS
from relay.tools.importers.report import ReportLine, shown
from relay.wording import as_duration, escape, plural, printable, printable_json, printable_lines
from tests.support.command import call
from tests.support.dead_letters import line

HOSTILE = "".join(map(chr, (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
HOSTILE += "\u2028\u2029\u200e\u200f\u061c\ufeff\u00ad\U000e0001\ud800"
"""Controls, bidi overrides, isolates and marks, separators, what has no width, and half a pair."""
FORBIDDEN = re.compile(f"[{re.escape(HOSTILE)}]")
TEXTS = st.text(st.sampled_from(HOSTILE + 'a"\\京 ')) | st.text()


def is_safe(text: str) -> bool:
    return FORBIDDEN.search(text.replace("\n", "")) is None


@given(TEXTS)
def test_a_text_is_printable_and_what_was_printable_is_as_it_was(text):
    assert printable(text).isprintable()
    assert is_safe(printable_lines(text))
    assert printable_lines(text).count("\n") == text.count("\n")
    assert printable("".join(filter(str.isprintable, text))) == "".join(filter(str.isprintable, text))
    assert escape(text.encode("utf-8", "surrogatepass")).isprintable()


@given(TEXTS)
def test_a_value_of_a_file_is_safe_and_reads_the_same(text):
    text = text.encode("utf-8", "replace").decode()
    assert to_toml(text).isprintable()
    assert tomllib.loads(f"a = {to_toml(text)}") == {"a": text}
    assert printable_json(json.dumps(text, ensure_ascii=False)).isprintable()
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text


@given(TEXTS)
def test_what_is_shown_is_safe(text):
    problem = Problem(code="RLY101", message=text, fix=text, source=text, line=1, column=1 + len(text) // 2, text=text)
    entry = ReportLine("ok", 1, shown("name", text), shown("name", text))
    letter = DeadLetter(time=text, reason=text, detail=text, request_id=text, window=0, point=msgspec.Raw(b"{}"))
    rejected = find_problem(text.encode("utf-8", "surrogatepass") + b"\n", text, 1)
    for told in (problem, entry, in_words(LetterLine(letter, text, b"")), rejected, _shown(text)):
        assert is_safe(str(told))
        assert "\n\n" not in str(told)
    assert str(entry).isprintable()
    assert str(in_words(LetterLine(letter, text, b""))).count("\n") == 2


def test_the_caret_is_below_the_escaped_character():
    lines = str(Problem(code="RLY101", message="m", source="s", line=1, column=4, text="\ta\x9bb")).splitlines()
    assert lines[1:] == ["    1 |  a\\x9bb", "      |       ^"]


def test_a_log_for_people_is_safe():
    before, stream = structlog.get_config(), io.StringIO()
    with redirect_stderr(stream), redirect_stdout(stream):
        configure_log(LogConfig(format="text"))
        structlog.get_logger("relay").warning("event", text=HOSTILE, line=HOSTILE.encode("utf-8", "replace"), at=3)
        SupervisorLog(is_text=True, level="info").warning("event", text=HOSTILE)
        LogStream(stream, is_text=True).write(HOSTILE + "\n")
        say(HOSTILE)
    structlog.configure(**before)
    assert len(stream.getvalue()) > 4 * len(HOSTILE)
    assert is_safe(stream.getvalue())


WORD = HOSTILE.encode("utf-8", "replace").decode()
"""As it can stand in a file."""
RAW = f"x{WORD}y".replace("\n", "").replace("\r", "")


@pytest.fixture
def letters(tmp_path):
    stored = json.loads(line(1, metric=WORD)) | {"detail": WORD, "request_id": WORD}
    LetterFiles(tmp_path, limit=1 << 20).append([json.dumps(stored, ensure_ascii=False).encode() + b"\n"])
    return tmp_path


@pytest.mark.parametrize("command", ["show", "list", "show --json", "list --json"])
def test_dead_letters_are_shown_safely(command, letters):
    done = call("dead", *command.split(), "--state", letters)
    assert done.returncode == 0
    assert is_safe(done.stdout)
    if command == "show --json":
        assert json.loads(done.stdout)["point"]["metric"] == json.loads(done.stdout)["detail"] == WORD
    if command == "show":
        assert len(done.stdout.splitlines()) == 3


FILES = {
    "config.js": f"{{ prefixCounter: '{RAW}', '{RAW}': 1, graphite: {{ legacyNamespace: '{RAW}' }} /* {RAW} */ }}",
    "mapping.yml": json.dumps({"mappings": [{"match": WORD, "name": WORD, "labels": {WORD: WORD}}, {WORD: WORD}]}),
    "gostatsd.toml": f"namespace = {to_toml(WORD)}\n{to_toml(WORD)} = {to_toml(WORD)}\n",
    "datadog.yaml": json.dumps({"hostname": WORD, "tags": [WORD], "dogstatsd_port": WORD, WORD: {WORD: WORD}}),
}


@pytest.mark.parametrize(("name", "format_"), [*zip(FILES, FORMATS, strict=True)])
def test_an_import_reports_safely(name, format_, tmp_path):
    path = tmp_path / name
    path.write_text(FILES[name])
    for arguments in ((), ("--json",), ("-o", tmp_path / "out.toml")):
        done = call("import", path, "--from", format_, *arguments)
        assert is_safe(done.stdout + done.stderr)
    assert is_safe((tmp_path / "out.toml").read_text())


COMMANDS = (
    ("explain", RAW),
    ("explain", f"a:1|c|#k:{RAW}"),
    ("explain", f"a:1|c|#k:{RAW}", "--json"),
    ("send", f"a:{RAW}|c"),
    ("send", f"a:1|{RAW}", "--json"),
    ("send", "a:1|c", "--to", f"{RAW}:1"),
    ("load", "--rate", RAW),
    ("cloud", "--fail", RAW),
    ("healthcheck", "--admin", f"{RAW}:1"),
    (RAW,),
)


@pytest.mark.parametrize(
    "arguments", COMMANDS, ids=lambda words: " ".join(words)[:20].encode("ascii", "replace").decode()
)
def test_what_a_command_was_given_is_shown_safely(arguments):
    done = call(*arguments)
    assert done.stdout + done.stderr
    assert is_safe(done.stdout + done.stderr)


def test_a_configuration_is_shown_safely(tmp_path):
    path = tmp_path / "relay.toml"
    value = RAW.translate(dict.fromkeys([*range(32), 0x7F]))
    path.write_text(f"[log]\nlevel = '{value}'\n'{value}' = 1\n['{value}']\n[listen]\nunix = ['{value}']\n")
    for command in (("check", path), ("check", path, "--json"), ("config", "show", "-c", path)):
        done = call(*command)
        assert done.returncode == 78
        assert is_safe(done.stdout + done.stderr)
    path.write_text(f"[tags]\na = '{value}'\n[[rule]]\nmatch = '{value}'\nmetric = 'a'\n")
    done = call("config", "show", "-c", path)
    assert is_safe(done.stdout + done.stderr)


def test_commands_print_by_the_one_function_that_escapes():
    """`progress` alone moves a cursor, and escapes what it was given itself."""
    commands = Path(__file__).parents[1] / "relay/cli"
    printing = {path.name for path in commands.rglob("*.py") if re.search(r"click\.s?echo|\bprint\(", path.read_text())}
    assert printing == {"progress.py", "output.py"}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7265, "2 h 1 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, shown):
    assert as_duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "word", "shown"),
    [(1, "copy", "1 copy"), (2, "copy", "2 copies"), (0, "key", "0 keys"), (1_000, "letter", "1 000 letters")],
)
def test_a_number_of_things(count, word, shown):
    assert plural(count, word) == shown
