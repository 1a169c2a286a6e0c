"""What a worker is given: across a real fork and exec."""

from __future__ import annotations

import json
import os
import socket
import sys

import pytest

from relay.listener.handover import SUPERVISOR
from relay.listener.sockets import UDP, Held
from relay.proven import PROVEN, Proven
from relay.supervisor.process import start_worker

TEXT = '[cloud]\nsecret_key = "canary-s3cret"\n'
WORKER = """
import json, os, subprocess, sys
from relay.worker import take_over
given = dict(os.environ)
worker = take_over(os.environ)
found = worker.proven.read()
if len(sys.argv) > 2:
    worker.proven.write(sys.argv[2])
child = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False)
told = {"found": found, "held": len(worker.held), "given": given, "left": dict(os.environ), "child": child.stdout}
open(sys.argv[1], "w").write(json.dumps(told))
"""


@pytest.fixture
def proven():
    proven = Proven.create()
    yield proven
    proven.close()


@pytest.fixture
def work(monkeypatch, tmp_path, proven):
    """`work(write)`: what a worker says that was started, and kept that text."""

    def begin(*write: str, sockets: int = 1) -> dict:
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", WORKER, str(tmp_path / "told"), *write])
        held = [Held(UDP, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(sockets)]
        pid = start_worker(held, {"PATH": os.environ["PATH"], PROVEN: "somebody else's"}, proven)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for one in held:
            one.socket.close()
        return json.loads((tmp_path / "told").read_text())

    return begin


def test_a_worker_finds_what_the_one_before_kept(work):
    assert work("first")["found"] is None
    assert work()["found"] == "first"
    assert work("a longer text", sockets=20)["found"] == "first", "whatever descriptors the sockets take"
    assert work("third")["held"] == 1
    assert work()["found"] == "third"


def test_what_is_kept_is_not_told_to_anybody(work, proven):
    proven.write(TEXT)
    told = work()
    assert told["found"] == TEXT
    assert told["given"][PROVEN].isdigit()
    assert "canary" not in json.dumps(told["given"])
    assert {PROVEN, SUPERVISOR} & told["left"].keys() == set()
    assert "memfd" not in told["child"], "a child of the worker does not inherit it"
