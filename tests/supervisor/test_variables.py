"""Variables that the relay or a service manager sets for a process: any other value is a mistake with one message."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ExitCode, RelayError
from relay.listener.socket_activation import INGEST, create_text
from relay.supervisor.protocol import check_variables

NUMBERS = ("RELAY_PLAN", "RELAY_CONFIGURATION", "RELAY_CHANNEL", "RELAY_SUPERVISOR", "LISTEN_PID")
NUMBERS += ("WATCHDOG_PID", "WATCHDOG_USEC")
NO_NUMBERS = (
    "abc",
    "-1",
    "+1",
    " 1",
    "1.5",
    "1e3",
    "0x10",
    "1_0",
    "nan",
    "inf",
    "²",
    "٣",
    "\udcff",
    "9" * 20,
    "9" * 5000,
)
GARBAGE = [(name, value) for name in NUMBERS for value in NO_NUMBERS]
GARBAGE += [(name, value) for name in NUMBERS[:3] for value in ("987654", "2147483648")]
GARBAGE += [("WATCHDOG_USEC", value) for value in ("0", "1", str(10**15 + 1))]
GARBAGE += [(INGEST, value) for value in ("abc", "[", "[]", "1", "9" * 5000, "[" * 100_000, "\udcff")]
GARBAGE += [("NOTIFY_SOCKET", value) for value in ("abc", "@", "/" * 108, "\udcff", "vsock:2:3", "/" + "ä" * 60)]
"""A variable, and a value that its writer would not write."""


@pytest.mark.parametrize(("name", "value"), GARBAGE, ids=lambda text: ascii(text)[:20])
def test_a_wrong_value_is_refused_with_the_name_and_a_fix(name, value):
    with pytest.raises(RelayError) as caught:
        check_variables({name: value})
    [problem] = caught.value.problems
    assert (caught.value.exit_code, problem.code) == (ExitCode.CONFIGURATION, "RLY102")
    assert problem.message.startswith(f"{name} must be ")
    assert problem.fix.startswith(f"unset {name}")
    assert (problem.message.isascii(), len(problem.message) < 400) == (True, True)


@given(name=st.sampled_from((*NUMBERS, INGEST, "NOTIFY_SOCKET")), value=st.text())
def test_any_text_is_accepted_or_raises_a_relay_error(name, value):
    with suppress(RelayError):
        check_variables({name: value})


def test_written_values_are_accepted():
    descriptor, sock = create_text(), socket.socket()
    with os.fdopen(descriptor), sock:
        given = {"RELAY_PLAN": str(descriptor), "RELAY_CONFIGURATION": str(descriptor), INGEST: "{}"}
        given |= {"RELAY_CHANNEL": str(sock.fileno()), "RELAY_SUPERVISOR": "1", "RELAY_TRIAL": "1"}
        given |= {"LISTEN_PID": "4194304", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "udp", "WATCHDOG_PID": ""}
        check_variables(given | {"WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "@/org/x"})
    check_variables({"NOTIFY_SOCKET": "/run/systemd/notify", "RELAY_PLAN": ""})


AS_WORKER = (
    "import os, sys, socket; sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.bind(('127.0.0.1', 0));"
    "os.dup2(sock.fileno(), 3); os.set_inheritable(3, True);"
    "os.environ.update({'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())} | dict([sys.argv[1:]]));"
    "os.execv(sys.executable, [sys.executable, '-m', 'relay', 'run'])"
)
"""Run as a worker, which reads each of these variables."""
READ = [(name, "abc") for name in (*NUMBERS, INGEST, "NOTIFY_SOCKET")]
READ += [("RELAY_PLAN", value) for value in ("0", "1", "99")]
READ += [("RELAY_CONFIGURATION", "0"), ("RELAY_CHANNEL", "1")]
READ += [
    (INGEST, value)
    for value in ("{}", '{"catch_all": 1}', '{"catch_all": [["a", [], 9]]}', '{"catch_all": [], "x": 1}')
]


@pytest.mark.parametrize(("name", "value"), READ)
def test_a_process_with_a_wrong_variable_ends_with_one_message(name, value):
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [sys.executable, "-c", AS_WORKER, name, value]
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.CONFIGURATION, "")
    assert done.stderr.startswith(f"environment error RLY102  {name} ")
    assert f"fix: unset {name}: " in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("value", ["abc", "\udcff", "x" * 5000, "/dev/null", "/proc"])
def test_an_unusable_provided_state_directory_is_reported(value):
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "STATE_DIRECTORY": value}
    environ |= {"STATSD_RELAY_CLOUD_PROVIDER": "stdout", "STATSD_RELAY_LISTEN_UDP": "127.0.0.1:0"}
    command = [sys.executable, "-m", "relay", "run"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd="/proc", timeout=20)
    assert "Traceback" not in done.stderr
    assert done.returncode in (ExitCode.BIND_OR_STATE, ExitCode.CONFIGURATION)
