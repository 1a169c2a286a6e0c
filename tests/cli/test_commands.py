"""Commands as a user meets them: exit codes, one clear text and never a traceback; `run` as a process."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import structlog

from relay import __version__
from relay.cli import COMMANDS, cli
from relay.config.schema import LogConfig
from relay.daemon.log import configure_log
from relay.errors import ExitCode
from tests.support.command import call
from tests.support.relay import environment, relay_process

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-m", "relay", *arguments],
        env={**base, **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    rows = [line.split(maxsplit=1) for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert dict(rows) == COMMANDS, "none is cut or broken"
    assert max(map(len, done.stdout.splitlines())) < 80
    for command in COMMANDS:
        assert call(command, "--help").returncode == 0


def test_version():
    assert run("--version").stdout.startswith(f"statsd-relay {__version__}  hot path: native  Python 3.")


@pytest.mark.parametrize(
    ("words", "found"), [("in", "plain,init"), ("config sch", "plain,schema"), ("run --dr", "plain,--dry-run")]
)
def test_a_shell_completes_commands_and_options(words, found):
    script = Path(sys.executable).with_name("statsd-relay")
    environ = {"PATH": os.environ["PATH"], "_STATSD_RELAY_COMPLETE": "bash_complete"}
    environ |= {"COMP_WORDS": f"statsd-relay {words}", "COMP_CWORD": str(words.count(" ") + 1)}
    done = subprocess.run([script], env=environ, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == f"{found}\n"


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for child in command.list_commands(context):
        yield from leaves(command.get_command(context, child), f"{name} {child}".strip())


def test_every_command_speaks_json():
    silent = [
        name for name, command in leaves(cli, "") if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert silent == []


def test_a_command_that_is_misspelt():
    done = run("explian", "RLY101")
    assert (done.returncode, done.stdout) == (64, "")
    assert "no such command explian: did you mean explain?" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "--for", "soon"],
        ["cloud", "--fail", "nonsense"],
        ["cloud", "--listen", "nonsense"],
        ["cloud", "--latency", "nonsense"],
        ["send", "--to", "nowhere", "a:1|c"],
        ["send", "--to", "127.0.0.1:0", "a:1|c"],
        ["send", "--to", "127.0.0.1:99999", "a:1|c"],
        ["send", "a:1"],
        ["send", "a:x|c", "b"],
        ["healthcheck", "--admin", "nowhere"],
        ["dead", "show", "--reason", "nonsense"],
    ],
)
def test_usage_errors_end_with_64(arguments):
    done = call(*arguments)
    assert done.returncode == 64
    assert done.stderr


def test_a_usage_error_of_run_itself_ends_with_64():
    assert run("run", "--nonsense").returncode == 64


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_credential_that_cannot_be_one_stops_a_start_and_a_check(command, tmp_path):
    secret = tmp_path / "ak"
    secret.write_text("CANARY\nAK\n")
    environ = {"JDCLOUD_ACCESS_KEY_ID_FILE": str(secret), "JDCLOUD_SECRET_ACCESS_KEY": "s", "JDCLOUD_REGION_ID": "r"}
    done = run(command, env=environ) if command == "run" else call(command, env=environ)
    assert done.returncode == 78
    assert f"{secret}:2:1 error RLY103  has more than one line" in done.stdout + done.stderr
    assert "CANARY" not in done.stdout + done.stderr


def test_run_without_credentials(tmp_path):
    done = run("run", env={"STATSD_RELAY_SPOOL_PATH": str(tmp_path)})
    assert done.returncode == 78
    assert done.stderr.startswith("error RLY110  no credentials for JD Cloud\n      fix: ")
    assert "demo" in done.stderr


def test_run_with_a_port_in_use(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        done = run("run", env=environment("http://127.0.0.1:1", tmp_path, LISTEN_UDP=address))
    assert done.returncode == 71
    [line] = [line for line in done.stderr.splitlines() if "RLY101" in line]
    assert line == f"error RLY101  cannot bind udp {address}: in use by {line.rpartition(' by ')[2]}"
    assert f"(pid {os.getpid()})" in line


def test_run_beside_a_relay_names_the_relay_and_what_changes_it(tmp_path):
    with relay_process(environment("http://127.0.0.1:1", tmp_path / "one"), tmp_path / "log") as relay:
        pid = relay.process.pid
        for setting, address, name in (
            ("LISTEN_UDP", f"127.0.0.1:{relay.udp[1]}", "udp"),
            ("ADMIN_LISTEN", relay.admin, "admin port"),
        ):
            environ = environment("http://127.0.0.1:1", tmp_path / "two", **{setting: address})
            done = run("run", env=environ)
            assert done.returncode == 71
            assert f"error RLY101  cannot bind {name} {address}: in use by " in done.stderr
            assert f" (pid {pid}), a relay\n      fix: stop that relay, or let it change: reload for a" in done.stderr
            assert "--take-over" not in done.stderr


def test_run_with_a_state_directory_that_cannot_be_written():
    done = run("run", env=environment("http://127.0.0.1:1", "/proc/nope"))
    assert done.returncode == 71
    assert "error RLY101  cannot use state directory /proc/nope" in done.stderr


def test_run_with_a_bad_file(tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text("[listen]\nudpp = []\n[cloud]\ntimeout = 'x'\n")
    done = run("run", "-c", str(path))
    assert done.returncode == 78
    assert f"{path}:2:1 error RLY102  unknown key udpp in [listen]" in done.stderr
    assert "fix: did you mean udp?" in done.stderr
    assert f"{path}:4:11 error RLY102" in done.stderr
    assert run("run", "-c", "/nowhere.toml").returncode == 78
    assert run("run", env={"STATSD_RELAY_LISTEN_HOTPATH": "native"}).returncode == 78


@pytest.mark.parametrize(
    "settings", [{"CLOUD_CA_FILE": "/nowhere.pem"}, {"CLOUD_PROVIDER": "file", "CLOUD_FILE": "/nowhere/out"}]
)
def test_run_with_a_file_it_cannot_use(tmp_path, settings):
    done = run("run", env=environment("http://127.0.0.1:1", tmp_path, **settings))
    assert done.returncode == 78
    assert "error RLY103  cloud." in done.stderr


def test_config(tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text('[cloud]\nsecret_key = "s3cret"\n')
    shown = call("config", "show", "-c", str(path), env={"STATSD_RELAY_CLOUD_NAMESPACE": "shop"})
    assert 'cloud.secret_key = "***"' in shown.stdout
    assert "s3cret" not in shown.stdout
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("cloud.namespace")]
    assert line.split("  ")[0] == 'cloud.namespace = "shop"'
    assert line.endswith("# STATSD_RELAY_CLOUD_NAMESPACE")
    answer = json.loads(call("config", "show", "--all", "--json").stdout)
    assert {row["origin"] for row in answer["values"]} == {"default"}
    rows = {row["key"]: row for row in answer["values"]}
    assert [rows[key]["value"] for key in ("limits.series", "limits.memory", "cloud.timeout")] == [50_000, 2**29, 10.0]
    assert (rows["cloud.timeout"]["text"], rows["cloud.timeout"]["is_default"]) == ('"10s"', True)
    assert "[cloud]" in call("config", "example").stdout
    assert "STATSD_RELAY_CLOUD_REGION=" in call("config", "env").stdout
    keys = {row["key"]: row for row in json.loads(call("config", "env", "--json").stdout)}
    assert keys["tags"]["variable"] == "STATSD_RELAY_TAGS"
    assert keys["rule.match"]["variable"] == "STATSD_RELAY_RULE"
    assert keys["window.idle"]["variable"] == "STATSD_RELAY_WINDOW_IDLE"
    assert keys["cloud.signature"]["choices"] == ["v2", "v3"]


def test_send_and_its_standard_input():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        to = f"127.0.0.1:{receiver.getsockname()[1]}"
        assert call("send", "--to", to, "a:1|c", "b:2|g").stdout == f"2 sent to {to}\n"
        assert [receiver.recv(100), receiver.recv(100)] == [b"a:1|c", b"b:2|g"]
        assert call("send", "--to", to, stdin="_e{1,1}:a|b\n\nc:3|ms\n").returncode == 0
        assert [receiver.recv(100), receiver.recv(100)] == [b"_e{1,1}:a|b", b"c:3|ms"]
        assert json.loads(call("send", "--to", to, "--unchecked", "--json", "bad").stdout) == {"to": to, "sent": 1}
        assert receiver.recv(100) == b"bad"
    nobody = call("send", "--to", to, "a:1|c")
    assert (nobody.returncode, nobody.stdout) == (69, "")
    assert f"cannot send argument 1 (5 bytes) to {to}: Connection refused" in nobody.stderr
    assert "no process listens there" in nobody.stderr


def test_a_line_feed_makes_one_datagram_of_several_lines():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        to = f"127.0.0.1:{receiver.getsockname()[1]}"
        assert call("send", "--to", to, "a:1|c\nb:2|g\n").stdout == f"1 sent to {to}\n"
        assert receiver.recv(100) == b"a:1|c\nb:2|g\n"
        assert call("send", "--to", to, stdin="a:1|c\r\nb:1|c|#k:\u2028\n").stdout == f"2 sent to {to}\n"
        assert [receiver.recv(100), receiver.recv(100)] == [b"a:1|c", "b:1|c|#k:\u2028".encode()]
    bad = call("send", "--to", to, "a:1|c\nb:1|x")
    assert bad.returncode == 64
    assert bad.stderr.startswith("argument:1:5 error RLY301  bad_type")


def test_a_terminal_is_told_that_lines_are_awaited():
    pid, terminal = pty.fork()
    if pid == 0:
        environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        os.execve(sys.executable, [sys.executable, "-m", "relay", "send", "--to", "127.0.0.1:9"], environ)
    shown = b""
    while b"Ctrl-D" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x04")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


@pytest.mark.parametrize(("to", "size"), [("127.0.0.1:9", 70_000), ("255.255.255.255:9", 1)])
def test_what_cannot_be_sent(to, size):
    done = call("send", "--to", to, "--unchecked", stdin="a" * size)
    assert done.returncode == 69
    assert done.stderr.startswith(f"error RLY101  cannot send stdin 1 ({size} bytes) to {to}: ")


def test_healthcheck_of_nobody():
    done = call("healthcheck", "--admin", "127.0.0.1:1")
    assert done.returncode == 69
    assert "no relay answers on 127.0.0.1:1" in done.stderr


def test_reload_needs_no_credentials_in_this_shell(tmp_path):
    """The relay has its own credentials; here the relay is missing."""
    done = run("reload", env={"STATSD_RELAY_SPOOL_PATH": str(tmp_path)})
    assert done.returncode == 69
    assert done.stderr.startswith("error RLY101  no relay answers on 127.0.0.1:8126 (Connection refused), [::1]:8126")
    assert f"none holds the state directory {tmp_path}\n" in done.stderr


def test_dry_run_prints_requests(tmp_path):
    env = environment("http://127.0.0.1:1", tmp_path / "state")
    env = {name: value for name, value in env.items() if not name.startswith("JDCLOUD")}
    with subprocess.Popen(
        [sys.executable, "-m", "relay", "run", "--dry-run"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if '"udp://' in line:
                host, _, port = json.loads(line)["listener"].removeprefix("udp://").rpartition(":")
                break
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"dry:7|c", (host, int(port)))
        body = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(20) == 0
    assert not (tmp_path / "state").exists(), "requests that wait belong to the real cloud"
    assert body["metricDataList"][0]["metric"] == "dry"
    assert body["metricDataList"][0]["values"]["sum"] == 7


def test_demo_balances():
    done = run("demo", "--for", "3s", "--json")
    assert done.returncode == 0, done.stdout
    outcome = json.loads(done.stdout)
    assert outcome["balanced"]
    hits = outcome["metrics"]["demo.web.hits"]
    assert hits["lines"] == hits["sent"] == hits["arrived"] > 100
    assert "first close" in done.stderr


def test_a_bad_line_is_shown_with_a_caret_where_it_goes_wrong():
    done = call("send", "web.hits:1x|c", "a:1|c", "\x1b[2J:1|kv")
    assert done.returncode == 64
    assert done.stderr.splitlines() == [
        "argument:1:11 error RLY301  bad_value: not a number, too large for one, or longer than 64 bytes",
        "    1 | web.hits:1x|c",
        "      |           ^",
        "      fix: NAME:VALUE|TYPE, TYPE one of c g ms h d s; or --unchecked",
        "argument:3:11 error RLY301  bad_type: the type must be one of c g ms h d s",
        r"    3 | \x1b[2J:1|kv",
        "      |           ^",
        "      fix: NAME:VALUE|TYPE, TYPE one of c g ms h d s; or --unchecked",
    ]


@pytest.mark.parametrize("format_", ["text", "json"])
def test_the_log_shows_a_bad_line_its_sender_and_the_place(format_, capsys):
    try:
        configure_log(LogConfig(format=format_))
        fields = {"why": "not a number", "line": b"\x1b:1x|c", "at": 3, "sender": "10.0.0.7:5"}
        structlog.get_logger("relay").warning("lines rejected", code="RLY301", reason="bad_value", **fields)
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.splitlines()
    if format_ == "json":
        event = json.loads(lines[0])
        assert (event["line"], event["column"], event["sender"]) == (r"\x1b:1x|c", 7, "10.0.0.7:5")
    else:
        assert lines[1][10:] == "warning RLY301  lines rejected  reason bad_value  sender 10.0.0.7:5"
        assert lines[2:] == [f"{'':10}{one}" for one in ("why    not a number", r"line   \x1b:1x|c", f"{'':13}^")]


@pytest.mark.parametrize("command", [["--help"], ["check"], ["config", "example"], ["explain", "RLY412"]], ids="-".join)
def test_a_full_disk_under_the_output_is_told_in_one_text(command):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "relay", *command],
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == ExitCode.UNREACHABLE
    assert done.stderr.endswith(
        "error RLY103  standard output cannot be written: No space left on device\n"
        "      fix: write it to a disk with room\n"
    )


@pytest.mark.parametrize("promised", ["3", "x", "9" * 40, "²"])
def test_sockets_that_are_promised_and_not_there_are_told_in_one_text(promised):
    done = subprocess.run(
        ["bash", "-c", 'LISTEN_PID=$$ exec "$@"', "bash", sys.executable, "-m", "relay", "run"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LISTEN_FDS": promised},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.BIND_OR_STATE
    assert done.stderr.startswith("error RLY101  ")
    assert "LISTEN_FDS" in done.stderr
    assert "Traceback" not in done.stderr
