"""`status --link` against a real relay: the link opens the page once; without the token there is none."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from relay.admin.token import TOKEN_FILE
from tests.support.command import call
from tests.support.relay import environment, free_port, relay_process


@pytest.fixture
def relay(tmp_path):
    admin = f"127.0.0.1:{free_port(1)}"
    environ = environment("http://127.0.0.1:9", tmp_path / "state", ADMIN_LISTEN=admin, CLOUD_TIMEOUT="1s")
    with relay_process(environ, tmp_path / "log") as running:
        yield running


def opened(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_link_opens_the_page_once(relay):
    done = call("status", "--link", "--admin", relay.admin)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith(f"http://{relay.admin}/?key=")
    assert "good once, for 5 min" in done.stderr
    assert [opened(done.stdout.strip()) for _ in range(2)] == [200, 403]
    [made, used] = [event for event in relay.events() if event.get("peer") == "127.0.0.1"][:2]
    assert (made["event"], made["action"]) == ("changed over the admin port", "POST /api/v1/links")
    assert used["event"] == "link opened"
    assert "key=" not in relay.text()


def test_as_json(relay):
    found = json.loads(call("status", "--link", "--json", "--admin", relay.admin).stdout)
    assert (found["seconds"], found["source"]["relay"]) == (300, relay.admin)
    assert opened(found["url"]) == 200


def test_without_the_token_there_is_no_link(relay):
    Path(relay.environ["STATSD_RELAY_SPOOL_PATH"], TOKEN_FILE).unlink()
    done = call("status", "--link", "--admin", relay.admin)
    assert (done.returncode, done.stdout) == (71, "")
    assert "as the relay's user or as root" in done.stderr


async def test_a_relay_without_a_token_says_so(tmp_path):
    environ = environment("http://127.0.0.1:9", "none", CLOUD_TIMEOUT="1s")
    with relay_process(environ, tmp_path / "log") as running:
        done = await asyncio.to_thread(call, "status", "--link", "--admin", running.admin)
    assert (done.returncode, done.stdout) == (69, "")
    assert "this relay has no token" in done.stderr
    assert "state directory" in done.stderr


def test_no_relay():
    done = call("status", "--link", "--admin", f"127.0.0.1:{free_port(1)}", env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout) == (69, "")


@pytest.mark.parametrize("other", [["--check"], ["--wait", "5s"]])
def test_one_question_at_a_time(other):
    done = call("status", "--link", *other)
    assert (done.returncode, "exclude one another" in done.stderr) == (64, True)
