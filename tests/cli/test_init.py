"""`init` asks at most four questions on a terminal, and writes a file with which `run` starts."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING

import pytest

from relay.config.loading import load
from tests.support.command import call

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("--region", "cn-north-1", "--credentials", "environment", "--senders", "local", "--env", "")
KEYS = {"JDCLOUD_ACCESS_KEY_ID": "a", "JDCLOUD_SECRET_ACCESS_KEY": "b"}


def on_a_terminal(directory: Path, answers: list[str], *arguments: str, env=None) -> tuple[int, str]:
    """Run `init` on a real terminal and answer each question; return the exit code and what the terminal showed."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "TERM": "xterm", **(env or {})}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execve(sys.executable, [sys.executable, "-m", "relay", "init", *arguments], environ)
    shown, left, until = "", list(answers), time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.1)[0]:
            if left and shown.endswith(": "):
                shown += "<"
                os.write(terminal, left.pop(0).encode())
            continue
        try:
            shown += os.read(terminal, 1000).decode()
        except OSError:  # the other side is closed
            break
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.replace("\r\n", "\n")


def test_four_questions_with_their_defaults(tmp_path):
    code, shown = on_a_terminal(tmp_path, ["\n"] * 4, env=KEYS)
    assert code == 0, shown
    assert shown.count("<") == 4, shown
    for default in ("[cn-north-1]: <", "[environment]: <", "[local]: <", "[]: <"):
        assert default in shown
    assert shown.splitlines()[-3:] == [
        "wrote relay.toml",
        "next: statsd-relay check --online relay.toml",
        "next: statsd-relay run -c relay.toml",
    ]
    assert tomllib.loads((tmp_path / "relay.toml").read_text()) == {"cloud": {"region": "cn-north-1"}}


def test_a_wrong_answer_is_asked_again_and_an_option_is_not_asked(tmp_path):
    answers = ["cn east\n", "cn-east-1\n", "nowhere\n", "10.1.0.0/16, fd00::/8\n", "prod uction\n", "production\n"]
    code, shown = on_a_terminal(tmp_path, answers, "--credentials", "environment", env=KEYS)
    assert code == 0, shown
    assert shown.count("<") == 6
    assert "Key from" not in shown
    assert shown.count("Error: must be") == 3
    config = load(tmp_path / "relay.toml", {}).config
    assert config.listen.udp == ["0.0.0.0:8125", "[::]:8125"]
    assert config.listen.allow == ["127.0.0.0/8", "::1/128", "10.1.0.0/16", "fd00::/8"]
    assert (config.cloud.region, config.tags["env"]) == ("cn-east-1", "production")


def test_the_end_of_the_input_or_control_c_writes_nothing(tmp_path):
    for key in ("\x04", "\x03"):
        code, shown = on_a_terminal(tmp_path, [key])
        assert code == 130, shown
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_are_what_this_machine_has(tmp_path):
    (tmp_path / ".jdc").mkdir()
    (tmp_path / ".jdc/config").write_text("[default]\naccess_key = a\nsecret_key = b\n")
    (tmp_path / ".jdc/config").chmod(0o600)
    code, shown = on_a_terminal(tmp_path, ["\n"] * 4, env={"JDCLOUD_REGION_ID": "cn-south-1"})
    assert code == 0, shown
    assert "[profile]: <" in shown
    assert "[cn-south-1]: <" in shown


@pytest.mark.parametrize("left_out", range(4))
def test_without_a_terminal_every_answer_is_an_option(left_out, tmp_path):
    given = [word for n, pair in enumerate(zip(ALL[::2], ALL[1::2], strict=True)) if n != left_out for word in pair]
    done = call("init", "-o", tmp_path / "relay.toml", *given)
    assert done.returncode == 64
    assert f"without a terminal, these are needed too: {ALL[2 * left_out]}\n" in done.stderr
    assert not (tmp_path / "relay.toml").exists()


@pytest.mark.parametrize("credentials", ["environment", "file", "profile"])
@pytest.mark.parametrize("senders", ["local", "172.16.0.0/12"])
@pytest.mark.parametrize("environment", ["", "production"])
def test_every_answer_is_a_file_that_loads_and_says_only_what_differs(credentials, senders, environment, tmp_path):
    path = tmp_path / "relay.toml"
    answers = ("--region", "cn-east-2", "--credentials", credentials, "--senders", senders, "--env", environment)
    assert call("init", "-o", path, *answers).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load(path, {})
    assert not loaded.warnings
    default = load(None, {}).config
    for key in loaded.origins:
        table, _, name = key.partition(".")
        if table != "tags":
            assert getattr(getattr(loaded.config, table), name) != getattr(getattr(default, table), name)


def test_files_of_credentials_are_beside_it_and_the_next_step_makes_them(tmp_path):
    path = tmp_path / "relay.toml"
    done = call("init", "-o", path, *ALL[:3], "file", *ALL[4:])
    assert done.returncode == 0
    steps = [line.removeprefix("next: ").partition("   #")[0] for line in done.stdout.splitlines() if "next: " in line]
    assert done.stdout.count("error RLY103  cannot read") == 2
    for step, value in zip(steps[:2], ("key-id", "s3cret"), strict=True):
        subprocess.run(["sh", "-c", step], input=f"{value}\n", text=True, check=True)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("access_key", "secret_key")} == {0o600}
    assert steps[2:] == [f"statsd-relay check {path}"]
    assert call("check", path).stdout == "ok\n"


def test_an_existing_file_is_replaced_only_with_force(tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text("mine")
    done = call("init", "-o", path, *ALL)
    assert (done.returncode, path.read_text()) == (71, "mine")
    assert done.stderr == f"error RLY101  {path} exists\n      fix: name another file, or add --force to replace it\n"
    code, shown = on_a_terminal(tmp_path, ["\n"] * 4)
    assert (code, "<" in shown) == (71, False), "before any question"
    assert call("init", "-o", path, *ALL, "--force").returncode == 0
    assert "region" in path.read_text()


def test_a_directory_that_is_missing_or_cannot_be_written(tmp_path):
    assert call("init", "-o", tmp_path / "no/relay.toml", *ALL).returncode == 64
    assert call("init", "-o", "/proc/relay.toml", *ALL).returncode == 71


def test_a_variable_that_stops_a_start_is_told(tmp_path):
    done = call("init", "-o", tmp_path / "relay.toml", *ALL, env={**KEYS, "STATSD_RELAY_LISTEN_UDPP": "x"})
    assert done.returncode == 78
    assert "unknown variable STATSD_RELAY_LISTEN_UDPP" in done.stdout


def test_json(tmp_path):
    path = tmp_path / "relay.toml"
    answer = json.loads(call("init", "-o", path, *ALL, "--json", env=KEYS).stdout)
    assert answer == {
        "file": str(path),
        "problems": [],
        "next": [f"statsd-relay check --online {path}", f"statsd-relay run -c {path}"],
    }
