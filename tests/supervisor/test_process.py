"""The parameters of a worker, through a real fork and exec."""

from __future__ import annotations

import json
import os
import socket
import sys

import pytest

from relay.listener.addresses import ADMIN, UDP, BoundSocket, SocketSpec
from relay.listener.socket_activation import ACCEPTED_STATE, CONFIGURATION_FD, SUPERVISOR
from relay.supervisor.log import SupervisorLog
from relay.supervisor.messages import Messages
from relay.supervisor.plan import Plan
from relay.supervisor.process import start_worker
from relay.supervisor.protocol import CHANNEL, READY

KEPT = '[cloud]\nsecret_key = "canary-s3cret"\n# ünïcode\n'
WORKER = """
import json, os, subprocess, sys
from relay.daemon.lifecycle.worker import inherit
given = dict(os.environ)
worker = inherit(os.environ)
worker.notifier.ready()
worker.accept("a plan", is_rebinding=False)
child = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False)
told = {
    "text": worker.text, "held": len(worker.held), "admin": len(worker.admin), "given": given, "left": dict(os.environ),
    "child": child.stdout, "state": worker.accepted_state,
}
open(sys.argv[1], "w").write(json.dumps(told))
"""


def plan(text: str | None) -> Plan:
    return Plan(
        wanted=SocketSpec(udp=[], receive_buffer=1),
        steady=1,
        state="",
        is_text=False,
        level="info",
        ingest="",
        text=text,
    )


@pytest.fixture
def work(monkeypatch, tmp_path):
    """`work(text)` starts a worker with that configuration; returns what it has and what it sent to the supervisor."""

    def begin(text: str | None, *, sockets: int = 1, state: str = "", is_successor: bool = False) -> dict:
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", WORKER, str(tmp_path / "told")])
        held = [BoundSocket(UDP, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(sockets)]
        held.append(BoundSocket(ADMIN, socket.create_server(("127.0.0.1", 0))))
        messages, log = Messages(), SupervisorLog(is_text=False, level="info")
        environ = {"PATH": os.environ["PATH"], CONFIGURATION_FD: "3", CHANNEL: "4"}
        given = plan(text)._replace(state=state)
        pid = start_worker(given, held, environ, messages=messages, log=log, is_successor=is_successor)
        messages.close_given()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        said = messages.read()
        messages.close()
        for one in held:
            one.socket.close()
        return json.loads((tmp_path / "told").read_text()) | {"said": said}

    return begin


@pytest.mark.parametrize("text", [None, "", KEPT, "# long\n" * 150_000], ids=["none", "empty", "short", "long"])
@pytest.mark.parametrize("sockets", [1, 20])
def test_a_worker_has_the_configuration_in_force_with_any_number_of_sockets(work, text, sockets):
    told = work(text, sockets=sockets)
    assert (told["text"], told["held"], told["admin"]) == (text, sockets, 1)


def test_a_workers_configuration_is_not_visible_elsewhere(work):
    told = work(KEPT)
    assert "canary" not in json.dumps(told["given"])
    assert {CONFIGURATION_FD, CHANNEL, SUPERVISOR, ACCEPTED_STATE} & told["left"].keys() == set()
    assert "memfd" not in told["child"], "a child of the worker does not inherit it"
    assert "canary" not in repr(plan(KEPT))


def test_a_worker_sends_the_accepted_plan_to_its_supervisor(work):
    ready, accepted = work(KEPT)["said"]
    assert (ready.assignments[0], ready.descriptor) == (READY, None)
    with os.fdopen(accepted.descriptor, "rb") as file:
        file.seek(0)
        assert file.read() == b"a plan"


def test_a_program_that_cannot_be_executed_is_logged_with_the_reason(monkeypatch, capfd):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    messages = Messages()
    log = SupervisorLog(is_text=False, level="info")
    pid = start_worker(plan(None), [], {}, messages=messages, log=log)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 70
    messages.close()
    said = json.loads(capfd.readouterr().err)
    assert (said["event"], said["program"]) == ("the worker cannot be executed", "/nowhere/python")
    assert said["why"] == "No such file or directory"


@pytest.mark.parametrize("state", ["/var/lib/x", ""])
def test_a_later_worker_gets_the_state_directory_of_the_one_before(work, state):
    assert work(None, state=state, is_successor=True)["state"] == state
    assert work(None, state=state)["state"] is None
