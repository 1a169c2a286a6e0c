"""`cloud` says what is on, shows what it stores, and counts at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from relay.tools.emulator import Fault
from tests.support.command import call

KEYS = {"JDCLOUD_ACCESS_KEY_ID": "demo", "JDCLOUD_SECRET_ACCESS_KEY": "demo", "JDCLOUD_REGION_ID": "cn-north-1"}


@contextmanager
def serving(*arguments: str):
    """Run `cloud`; yield the process and its first lines."""
    command = [sys.executable, "-m", "relay", "cloud", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def check_online(endpoint: str) -> int:
    environ = {**KEYS, "STATSD_RELAY_CLOUD_ENDPOINT": endpoint, "STATSD_RELAY_TAGS": "host=h,env=test"}
    return call("check", "--online", env=environ).returncode


def test_it_shows_points_faults_and_counts():
    with serving("--fail", "503:2", "--fail", "429:5%", "--latency", "1ms", "--points") as (process, head):
        endpoint = head.split()[3]
        assert process.stdout.readline() == (
            "faults: 503 for the next 2 requests, 429 for 5 %; every answer takes 0.001 s\n"
        )
        assert check_online(endpoint) == 69
        while check_online(endpoint) != 0:
            pass
        shown = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        last = process.stdout.read()
    assert all("  statsd/statsd_relay.check" in line and "  env=test host=h  " in line for line in shown)
    assert " point" in last
    assert " stored; answers " in last
    assert "2 x 503" in last


def test_json():
    with serving("--fail", "hang", "--points", "--json") as (process, head):
        first = json.loads(head)
        assert (first["faults"], first["latency"]) == (["hang for every request"], 0)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "", "nothing came, so nothing is counted"
    with serving("--points", "--json") as (process, head):
        assert check_online(json.loads(head)["endpoint"]) == 0
        points = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        last = json.loads(process.stdout.read())
    assert {point["metric"] for point in points} == {"statsd_relay.check", "statsd_relay.check.raw"}
    assert last == {"requests": 2, "points": 2, "statuses": {"200": 2}}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("429:5%", "429 for 5 %"),
        ("429:100%", "429 for every request"),
        ("500:1", "500 for the next 1 request"),
        ("hang", "hang for every request"),
        ("503:0.5%", "503 for 0.5 %"),
    ],
)
def test_a_fault_in_words(fault, said):
    assert str(Fault.parse(fault)) == said


def test_a_share_is_at_most_all():
    done = call("cloud", "--fail", "429:200%")
    assert done.returncode == 64
    assert "N from 0 to 100" in done.stderr
