"""Dead letters over the admin port: listed, sent again, deleted."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from relay.admin.dead_letters import summarise
from relay.admin.token import TOKEN_FILE, read_token
from relay.delivery.dead_letters.redrive import Selection
from tests.support.admin_port import fetch
from tests.support.inprocess import open_relay

PATH = "/api/v1/dead-letters"


@asynccontextmanager
async def refused(tmp_path, *metrics):
    """A relay with a dead letter of each metric, and a function that asks it."""
    async with open_relay(tmp_path) as running:
        running.emulator.poison.update(metrics)
        await running.feed(b"good:1|c", *(f"{metric}:1|c".encode() for metric in metrics))
        await running.delivered("good", 1)
        async with asyncio.timeout(20):
            while running.relay.context.ledger.dead_letters < len(metrics):
                await asyncio.sleep(0.05)
        token = await asyncio.to_thread(read_token, tmp_path / TOKEN_FILE)

        async def ask(path="", body=None):
            data = None if body is None else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {token}"}
            return (await fetch(running.relay.admin.bound, PATH + path, body=data, headers=headers))[::2]

        yield running, ask


async def test_letters_are_listed_with_the_words_of_the_cloud(tmp_path):
    async with refused(tmp_path, "bad.one", "bad.two") as (_, ask):
        status, answer = await ask()
        one = (await ask("?metric=*.one&reason=refused_point&last=1"))[1]
        none = (await ask("?reason=too_old"))[1]
    assert (status, answer["letters"], answer["reasons"]) == (200, 2, {"refused_point": 2})
    assert {row["metric"]: row["letters"] for row in answer["metrics"]} == {"bad.one": 1, "bad.two": 1}
    assert [letter["point"]["metric"] for letter in one["last"]] == ["bad.one"]
    assert "INVALID_ARGUMENT" in one["last"][0]["detail"]
    assert (none["letters"], none["last"], none["oldest"]) == (0, [], None)


async def test_letters_are_sent_again(tmp_path):
    async with refused(tmp_path, "bad.one", "bad.two") as (running, ask):
        assert (await ask("/replay", {"dry_run": True}))[1]["letters"] == 2
        assert (await ask())[1]["letters"] == 2
        running.emulator.poison.clear()
        status, answer = await ask("/replay", {"metric": "bad.one"})
        assert (status, answer["letters"], answer["reasons"]) == (200, 1, {"refused_point": 1})
        await running.delivered("bad.one", 1)
        assert (await ask())[1]["letters"] == 1


async def test_letters_are_deleted_if_it_is_said_which(tmp_path):
    async with refused(tmp_path, "bad.one", "bad.two") as (_, ask):
        status, answer = await ask("/drop", {})
        assert (status, answer["error"]["message"]) == (400, "no letter is selected")
        assert (await ask("/drop", {"metric": "bad.one"}))[1]["letters"] == 1
        assert (await ask("/drop", {"all": True}))[1]["letters"] == 1
        assert (await ask())[1]["letters"] == 0


@pytest.mark.parametrize("query", ["?reason=nothing", "?last=1001", "?last=-1", "?metric=" + "x" * 256, "?nothing=1"])
async def test_a_wrong_query(tmp_path, query):
    async with open_relay(tmp_path) as running:
        status, _, answer = await fetch(running.relay.admin.bound, PATH + query)
    assert (status, answer["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/replay", "/drop"])
async def test_a_change_needs_the_token(tmp_path, path):
    async with open_relay(tmp_path) as running:
        status, _, _ = await fetch(running.relay.admin.bound, PATH + path, body=b'{"all": true}')
    assert status == 401


async def test_without_a_state_directory_none_are_kept():
    async with open_relay(None) as running:
        status, _, answer = await fetch(running.relay.admin.bound, PATH)
    assert (status, answer["error"]["code"]) == (409, "conflict")


async def test_a_directory_that_cannot_be_read(tmp_path):
    async with open_relay(tmp_path / "state") as running:
        (tmp_path / "state").rename(tmp_path / "moved")
        status, _, answer = await fetch(running.relay.admin.bound, PATH)
        (tmp_path / "moved").rename(tmp_path / "state")
    assert (status, "cannot be used" in answer["error"]["message"]) == (503, True)


def test_damaged_lines_are_counted(tmp_path):
    (tmp_path / "dead-letters-000001.ndjson").write_text("nothing\n{}\n")
    found = summarise(tmp_path, Selection(), last=5, limit=100)
    assert (found.damaged, found.letters, found.limit_bytes, found.bytes) == (2, 0, 100, 11)
