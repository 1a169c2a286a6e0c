"""The text console gives the same bytes as the reference daemon; its checks and its proxy work with a relay."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager

import pytest

from tests.support.node import expect_node
from tests.support.relay import assert_books, environment, relay_process
from tests.support.state import LONG_WINDOW
from tests.support.statsd import ask, running, wait_until

LINES = b"""\
q:7|c
web.requests:1|c|@0.1
web.requests:2.5|c
web.errors:0.1|c
web.errors:0.2|c
big:1e21|c
small:1e-7|c
minus:-3|c
42:1|c
7:1|c
req:1|c|#code:200
req:2|c|#code:500
folder.a:1|c
folder.b.c:1|c
folderless:1|c
unfoldable
broken:x|c
lat:320|ms
lat:12.5|ms
page.time:5|ms|#page:home
depth:5|g
depth:-2|g
level:0.30000000000000004|g
zero:0|g
sentinel:1|g"""

COMMANDS = [
    b"help", b"help\r\n", b"  help \t\n", b"help me\n",
    b"health\n", b"health\r\n", b"health", b"health down\n", b"health\n", b"health UP now\n", b"health sideways\n",
    b"stats\n", b"stats now\r\n",
    b"counters\n", b"counters", b"gauges\r\n",
    b"sets\n", b"Stats\n", b"GET\n", b"HEALTH\n", b"G", b"status", b"\n", b" ", b"\x00\n", b"h\xe9lp\n",
    b"counters\tx\n",
    b"delcounters\n", b"delcounters q nobody\n", b"delcounters  req;code=200 folder.*\r\n", b"delcounters folder.*",
    b"delcounters nobody.* .* web.errors q\n", b"counters\n",
    b"delgauges zero\n", b"delgauges zero\n", b"gauges\n",
    b"quit\n", b"quit", b"quit now\r\n",
]  # fmt: skip
TIMERS = [b"timers\n", b"deltimers lat nobody page.*\n", b"timers\n", b"deltimers page.time;page=home\n", b"timers"]


@pytest.fixture(autouse=True)
def node():
    expect_node()


@contextmanager
def relay_alone(tmp_path):
    """A relay without a cloud, whose window does not close, and its console's port."""
    settings = {"WINDOW_SECONDS": str(LONG_WINDOW), "CLOUD_TIMEOUT": "1s"}
    with relay_process(environment("http://127.0.0.1:9", tmp_path / "state", **settings), tmp_path / "log") as relay:
        yield relay, int(relay.admin.rpartition(":")[2])
        assert_books(relay.metrics())


def without_times(reply: bytes) -> bytes:
    """Mask what depends on the time of a command, and on names of backends."""
    reply = re.sub(rb"(?m)^(uptime|messages\.last_msg_seen): \d+$", rb"\1: N", reply)
    return re.sub(rb"(?m)^\w+\.(last_flush|last_exception|flush_time|flush_length): \d+$", rb"backend.\1: N", reply)


def sees(port: int, name: bytes) -> bool:
    return name in ask(port, b"gauges\n")


def test_every_command_equals_the_reference(tmp_path):
    """Both get the same lines and commands, and reply with the same bytes."""
    with running(tmp_path, "stats.js", flushInterval=3_600_000) as statsd, relay_alone(tmp_path) as (relay, port):
        statsd.send(LINES)
        relay.send(LINES)
        wait_until(lambda: sees(port, b"sentinel") and sees(statsd.console, b"sentinel"))
        # The reference counts itself among what it counts.
        assert ask(statsd.console, b"delcounters statsd.*").count(b"deleted: statsd.") == 3
        for command in COMMANDS:
            theirs, ours = ask(statsd.console, command), ask(port, command)
            assert without_times(ours) == without_times(theirs), command
        for console in (port, statsd.console):
            assert re.fullmatch(rb"\n(\w+( > \w+)?: .*\n)+", ask(console, b"config\n"))


def test_timers_are_what_the_reference_shows_after_a_flush(tmp_path):
    with running(tmp_path, "stats.js", flushInterval=100) as statsd, relay_alone(tmp_path) as (relay, port):
        statsd.send(LINES)
        relay.send(LINES)
        wait_until(lambda: sees(port, b"sentinel") and b"lat: []" in ask(statsd.console, b"timers\n"))
        for command in TIMERS:
            assert ask(port, command) == ask(statsd.console, command), command


def test_the_checks_of_the_reference_accept_a_relay(tmp_path):
    with running(tmp_path, "stats.js") as statsd, relay_alone(tmp_path) as (relay, port):
        for one in (statsd, relay):
            one.send(LINES)
        wait_until(lambda: sees(port, b"sentinel") and sees(statsd.console, b"sentinel"))
        for metric, warning, critical in (("messages.bad_lines_seen", 10, 20), ("messages.bad_lines_seen", 1, 20)):
            arguments = ["-m", metric, "-w", str(warning), "-c", str(critical), "--port"]
            command = ["perl", statsd.package / "utils" / "check_statsd.pl", *arguments]
            assert outcome([*command, str(port)]) == outcome([*command, str(statsd.console)])
        assert outcome([*command, str(port)])[1].startswith("WARNING: messages.bad_lines_seen value 2 exceeds")
        check_health(statsd, port, tmp_path)


NC = """#!/usr/bin/env -S python3 -IS
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as sock:
    sock.sendall(sys.stdin.buffer.read())
    sock.shutdown(socket.SHUT_WR)
    while chunk := sock.recv(4096):
        sys.stdout.buffer.write(chunk)
"""
"""This nc closes its half at the end of its input; some do not."""


def check_health(statsd, port: int, directory) -> None:
    """Run the check for Nagios or Keepalived, which accepts only `health: up`."""
    (directory / "nc").write_text(NC)
    (directory / "nc").chmod(0o755)
    # The package's own has CRLF at the end of its lines, which bash cannot read.
    check = directory / "check_statsd_health"
    check.write_bytes((statsd.package / "utils" / check.name).read_bytes().replace(b"\r\n", b"\n"))
    path = {"PATH": f"{directory}:{os.environ['PATH']}"}
    for word, code, keepalived in (("up", 0, 0), ("down", 2, 1)):
        for console in (port, statsd.console):
            ask(console, f"health {word}\n".encode())
            text = f"Statsd '127.0.0.1:{console}' responded: 'health: {word}'\n"
            assert outcome(["bash", check, "-P", str(console)], **path) == (code, text)
            assert outcome(["bash", check, "-P", str(console), "-k"], **path) == (keepalived, text)


def outcome(command, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=20, env={**os.environ, **environ}
    )
    return done.returncode, done.stdout


def test_the_proxy_of_the_reference_adds_and_removes_a_relay(tmp_path):
    with relay_alone(tmp_path) as (relay, port):
        node = {"host": "127.0.0.1", "port": relay.udp[1], "adminport": port}
        with running(tmp_path, "proxy.js", host="127.0.0.1", nodes=[node], checkInterval=100, forkCount=0) as proxy:
            wait_until(lambda: proxied(proxy) and forwards(proxy, port, b"before"))
            ask(port, b"health down\n")
            wait_until(lambda: not proxied(proxy))
            proxy.send(b"meanwhile:1|g")
            wait_until(lambda: "No backend statsd nodes available" in proxy.text())
            assert relay.metrics()["relay_console_health_up"] == 0
            ask(port, b"health up\n")
            wait_until(lambda: proxied(proxy) and forwards(proxy, port, b"after"))
        shown = ask(port, b"gauges\n")
    assert b"before: 1" in shown
    assert b"meanwhile" not in shown


def proxied(proxy) -> bool:
    return b"nodes: 127.0.0.1:" in ask(proxy.console, b"status\n")


def forwards(proxy, port: int, name: bytes) -> bool:
    proxy.send(name + b":1|g")
    return sees(port, name)
