"""`dead` from the command line, beside a relay: points are refused, listed, sent again and delivered once."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest

from relay.delivery.dead_letters.files import LetterFiles
from relay.delivery.dead_letters.format import letter_files
from relay.delivery.dead_letters.redrive import replay_files
from relay.tools.emulator import Fault
from tests.support.command import call
from tests.support.dead_letters import line, point, points_in
from tests.support.relay import environment, make_emulator, relay_process

NOW = int(time.time()) // 60 * 60


@pytest.fixture
def state(tmp_path):
    LetterFiles(tmp_path, limit=1 << 20).append(
        [
            line(1, window=NOW),
            line(2, window=NOW - 60, metric="db.reads", reason="ambiguous"),
            b"garbage\n",
            line(3, window=NOW - 8 * 86_400),
            line(1, window=NOW, reason="refused_request"),
        ]
    )
    return tmp_path


def dead(state, *arguments: str):
    return call("dead", *arguments, "--state", str(state))


def test_list_counts_by_reason_and_metric(state):
    text = dead(state, "list").stdout
    assert text.startswith(f"4 dead letters in {state}, ")
    assert text.splitlines()[0].endswith("of 64.0 MiB")
    assert [line.split() for line in text.splitlines() if line.startswith("  ")] == [
        ["reason", "refused_point", "2"],
        ["reason", "ambiguous", "1"],
        ["reason", "refused_request", "1"],
        ["metric", "web.hits", "3"],
        ["metric", "db.reads", "1"],
    ]
    assert "1 damaged line" in text
    found = json.loads(dead(state, "list", "--json").stdout)
    assert (found["letters"], found["damaged"], found["limit_bytes"]) == (4, 1, 64 * 2**20)
    assert found["bytes"] == sum(path.stat().st_size for path in letter_files(state))
    assert found["oldest"] < found["newest"]
    assert found.pop("source") == {"relay": None, "state_directory": str(state)}
    other = json.loads(call("dead", "list", "--json", env={"STATSD_RELAY_SPOOL_PATH": str(state)}).stdout)
    assert other.pop("source")["tried"] == ["127.0.0.1:8126", "[::1]:8126"]
    assert other == found


def test_list_of_nothing(tmp_path):
    assert dead(tmp_path, "list").stdout == f"0 dead letters in {tmp_path}, 0 B of 64.0 MiB\n"


def test_show_prints_the_clouds_words_and_the_point(state):
    text = dead(state, "show", "--metric", "db.*").stdout
    assert "ambiguous  db.reads" in text
    assert '"no"' in text
    assert point(2, window=NOW - 60, metric="db.reads").decode() in text
    lines = dead(state, "show", "--json", "--last", "2").stdout.splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["refused_point", "refused_request"]
    assert dead(state, "show", "--reason", "too_large").stdout == ""


def test_replay_says_what_it_does_and_dry_run_does_nothing(state):
    before = points_in(state)
    would = dead(state, "replay", "--dry-run")
    assert would.stdout.splitlines() == [
        "2 points would be sent again",
        "1 letter with a point of another letter: it is sent once",
        "1 letter too old for the cloud: kept, see [cloud] max_age",
        "1 letter damaged: kept",
    ]
    assert (points_in(state), replay_files(state)) == (before, [])
    done = json.loads(dead(state, "replay", "--json").stdout)
    assert (done["letters"], done["too_old"], done["duplicates"], done["dry_run"]) == (2, 1, 1, False)
    assert [path.name for path in replay_files(state)] == [done["path"]]
    assert points_in(state) == [point(3, window=NOW - 8 * 86_400)]
    longer = call("dead", "replay", "--state", str(state), env={"STATSD_RELAY_CLOUD_MAX_AGE": "30d"})
    assert longer.stdout.startswith("1 point will be sent again")


def test_drop_needs_a_yes(state):
    refused = dead(state, "drop")
    assert (refused.returncode, len(points_in(state))) == (64, 4)
    assert "--yes" in refused.stderr
    assert dead(state, "drop", "--reason", "ambiguous", "--yes").stdout == "1 letter dropped\n"
    assert len(points_in(state)) == 3
    assert json.loads(dead(state, "drop", "--yes", "--json").stdout)["letters"] == 3
    assert letter_files(state) == []


@pytest.mark.parametrize("command", [["list"], ["show"], ["replay"], ["drop", "--yes"]])
def test_a_directory_that_is_not_there_or_not_ours(command, tmp_path):
    missing = dead(tmp_path / "nowhere", *command)
    assert missing.returncode == 71
    assert missing.stderr.startswith(f"error RLY101  no state directory {tmp_path}/nowhere")
    nothing = call("dead", *command, env={"STATSD_RELAY_SPOOL_PATH": "none"})
    assert nothing.returncode == 71
    assert call("dead", *command, "--reason", "nonsense").returncode == 64


def test_what_root_makes_belongs_to_the_owner_of_the_directory(state):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (state, *state.iterdir()):
        os.chown(path, 65532, 65532)
    assert dead(state, "replay", "--metric", "db.*").returncode == 0
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in state.iterdir()} == {(65532, 0o600)}


async def test_refused_repaired_and_sent_again_is_delivered_once(tmp_path):
    """With a running relay, and with the letters of a stopped one."""
    emulator = make_emulator()
    url = await emulator.start()
    state = tmp_path / "state"
    env = environment(url, state)
    replayed, delivered = 'relay_points_total{outcome="replayed"}', 'relay_points_total{outcome="delivered"}'
    with relay_process(env, tmp_path / "log") as relay:
        emulator.add_fault(Fault.parse("partial:1"))
        relay.send(b"a:1|c\nb:2|c\nc:3|c")
        await relay.wait_for(**{"relay_dead_letters": 1, delivered: 2})
        [letter] = (await asyncio.to_thread(dead, state, "show", "--json")).stdout.splitlines()
        refused = json.loads(letter)["point"]["metric"]
        assert emulator.total(refused) == 0
        done = await asyncio.to_thread(dead, state, "replay", "--metric", refused)
        assert done.stdout == "1 point will be sent again\n"
        metrics = await relay.wait_for(**{replayed: 1, delivered: 3})
        assert metrics['relay_points_total{outcome="refused"}'] == 1
        while (await asyncio.to_thread(relay.metrics))["relay_dead_letters"]:
            await asyncio.sleep(0.05)
        emulator.add_fault(Fault.parse("partial:1"))
        relay.send(b"d:4|c\ne:5|c")
        await relay.wait_for(**{"relay_dead_letters": 1, delivered: 4})
        assert await relay.stop() == 0
    assert (await asyncio.to_thread(dead, state, "replay")).returncode == 0
    with relay_process(env, tmp_path / "log2") as relay:
        await relay.wait_for(**{replayed: 1, delivered: 1})
        assert await relay.stop() == 0
    assert [emulator.total(metric) for metric in "abcde"] == [1, 2, 3, 4, 5]
    assert emulator.duplicates() == []
    assert (points_in(state), replay_files(state)) == ([], [])
    await emulator.stop()
