"""`check --online` sends two points with the transport and the signature of a relay, and prints what the cloud says."""

from __future__ import annotations

import asyncio
import json

import pytest

from relay.tools.emulator import Fault
from tests.support.command import call
from tests.support.relay import SECRET, environment, make_emulator


@pytest.fixture
async def emulator():
    emulator = make_emulator()
    url = await emulator.start()
    yield emulator, url
    await emulator.stop()


async def check(url: str, *arguments: str, **settings: str):
    environ = environment(url, "none", **settings)
    return await asyncio.to_thread(call, "check", "--online", *arguments, env=environ)


async def test_both_types_are_accepted_and_stored_once_a_minute(emulator):
    cloud, url = emulator
    done = await check(url)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["statsd_relay.check", "type", "2", "accepted", "HTTP"]
    assert lines[1].split()[:5] == ["statsd_relay.check.raw", "type", "1", "accepted", "HTTP"]
    assert {line.rpartition(" ")[2] for line in lines[:2]} == {"emulator-1", "emulator-2"}
    assert lines[2].startswith("this clock is right (")
    [aggregate], [raw] = cloud.points("statsd_relay.check", host="test"), cloud.points("statsd_relay.check.raw")
    assert (aggregate["type"], aggregate["values"]["sum"], aggregate["timestamp"] % 60) == (2, 1, 0)
    assert (raw["type"], raw["values"]) == (1, {"value": 1})


@pytest.mark.parametrize(("output", "words"), [("raw", "aggregate"), ("aggregate", "raw")])
async def test_the_output_that_is_configured_changes_neither_point(output, words, emulator):
    cloud, url = emulator
    done = await check(url, "--json", CLOUD_OUTPUT=output)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["errors"]) == (0, 0), words
    assert [(one["type"], one["accepted"], one["status"]) for one in answer["answers"]] == [
        (2, True, 200),
        (1, True, 200),
    ]
    assert all(one["seconds"] > 0 and abs(one["clock_seconds_ahead"]) < 60 for one in answer["answers"])
    assert len(cloud.received) == 2


async def test_refused_credentials_are_77(emulator):
    cloud, url = emulator
    cloud.rotate("another")
    done = await check(url)
    assert done.returncode == 77
    assert (
        done.stdout.count("error RLY120  the cloud refuses the credentials: HTTP 401 ACCESS_ERROR the signature") == 1
    )
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("403", 77, "error RLY120  the cloud refuses the credentials"),
        ("429", 69, "error RLY401  the cloud answers 429: HTTP 429 EMULATED emulated 429"),
        ("500", 69, "error RLY405  the cloud cannot be reached (5xx): HTTP 500"),
        ("reset", 69, "error RLY405  the cloud cannot be reached (reset)"),
        ("hang", 69, "error RLY405  the cloud cannot be reached (timeout)"),
        ("garbage", 69, "error RLY405  the cloud cannot be reached"),
        ("redirect", 78, "error RLY404  the cloud refuses the request"),
        ("404", 78, "error RLY404  the cloud refuses the request"),
        ("refused", 78, "error RLY402  the cloud refuses points of type 2: emulated refusal"),
    ],
)
async def test_what_else_the_cloud_says(fault, code, said, emulator):
    cloud, url = emulator
    cloud.add_fault(Fault.parse(fault))
    done = await check(url, CLOUD_TIMEOUT="1s")
    assert done.returncode == code, done
    assert said in done.stdout


async def test_a_type_that_is_not_sent_may_be_refused(emulator):
    cloud, url = emulator
    cloud.poison = {"statsd_relay.check.raw"}
    done = await check(url)
    assert done.returncode == 0
    assert "warning RLY402  the cloud refuses points of type 1: " in done.stdout
    assert (await check(url, CLOUD_OUTPUT="raw")).returncode == 78


async def test_a_cloud_that_is_not_there_is_69():
    done = await check("http://127.0.0.1:9")
    assert done.returncode == 69
    assert "error RLY405  the cloud cannot be reached (connect): " in done.stdout


async def test_a_wrong_clock_is_told(emulator):
    cloud, url = emulator
    cloud.clock_ahead = 120
    done = await check(url)
    assert done.returncode == 0
    assert "warning RLY122  this clock is 120 s behind the cloud's" in done.stdout
    assert "this clock is off: -1" in done.stdout


async def test_nothing_is_sent_with_a_configuration_that_does_not_start(emulator):
    cloud, url = emulator
    done = await check(url, LISTEN_UDP="nowhere")
    assert (done.returncode, cloud.requests) == (78, 0)
    assert done.stdout.endswith("nothing was sent to the cloud: a relay would not start\n")


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--without-credentials",), {}, "--online needs the credentials"),
        ((), {"CLOUD_PROVIDER": "stdout"}, '--online is for [cloud] provider = "jdcloud"'),
    ],
)
async def test_a_check_that_cannot_be_online_is_64(arguments, settings, said):
    done = await check("http://127.0.0.1:9", *arguments, **settings)
    assert done.returncode == 64
    assert said in done.stderr
