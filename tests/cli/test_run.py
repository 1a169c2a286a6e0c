"""What `run` starts with: the file on disk, or the last good one."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext

import pytest

from relay.cli import plan
from relay.cli.run import make_transport, prepare_start
from relay.config.schema import Cloud
from relay.delivery.state_directory import StateDirectory
from relay.errors import ConfigError, RelayError
from relay.proven import Proven
from tests.support.relay import environment

GOOD = "[limits]\nseries = 1000\n"
BAD = {
    "not TOML": ("[limits\nseries = 5", "not TOML"),
    "unknown key": ("[limits]\nserie = 5", "did you mean series"),
    "no such certificates": ("[cloud]\nca_file = '/nowhere'", "cannot use /nowhere"),
    "no such secret": ("[cloud]\nsecret_key_file = '/nowhere'\naccess_key = 'a'", "cannot read /nowhere"),
    "gone": (None, "No such file"),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    for name, value in environment("http://127.0.0.1:1", tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path / "relay.toml"


@pytest.fixture
def kept():
    """`kept(text)`: what worked last."""
    proven = Proven.create()

    def keep(text: str) -> Proven:
        proven.write(text)
        return proven

    yield keep
    proven.close()


def test_a_good_file_is_taken_whatever_was_good_before(path, kept):
    path.write_text(GOOD)
    prepared = prepare_start(path, kept("[limits]\nseries = 2000\n"), dry_run=False)
    assert (prepared.loaded.config.limits.series, prepared.loaded.text, prepared.refused) == (1000, GOOD, None)


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_for_a_bad_one_the_last_good_one_goes_on_under_its_path(text, reason, path, kept):
    if text is not None:
        path.write_text(text)
    prepared = prepare_start(path, kept(GOOD), dry_run=False)
    assert (prepared.loaded.config.limits.series, prepared.loaded.text) == (1000, GOOD)
    assert prepared.loaded.path == path
    assert prepared.loaded.origins["limits.series"] == f"{path}:2"
    assert reason in prepared.refused.brief()


def test_without_a_good_one_the_file_on_disk_is_what_a_person_is_told_of(path, kept):
    path.write_text(BAD["unknown key"][0])
    for proven in (Proven(), kept("[limits]\nseries = 1\n")):
        with pytest.raises(ConfigError, match="did you mean series"):
            prepare_start(path, proven, dry_run=False)


def test_a_copy_with_a_secret_needs_no_file_and_does_not_show_it(path, kept):
    proven = "[cloud]\naccess_key = 'a'\nsecret_key = 'canary-s3cret'\n"
    prepared = prepare_start(path, kept(proven), dry_run=False)
    assert prepared.loaded.config.cloud.secret_key.reveal() == "canary-s3cret"
    assert "canary" not in repr(prepared)


@pytest.mark.parametrize("is_ours", [False, True])
def test_before_an_address_is_taken_over_the_state_directory_is_tried(tmp_path, monkeypatch, is_ours):
    monkeypatch.setattr(plan, "find_running", lambda _: os.getppid() if is_ours else None)
    in_use = pytest.raises(RelayError, match="RLY105")
    held = StateDirectory.open(tmp_path / "state")
    with nullcontext() if is_ours else in_use:
        plan.try_state(tmp_path / "state")
    held.close()
    plan.try_state(tmp_path / "state")
    plan.try_state(None)


async def test_requests_written_to_a_file_are_for_this_user_alone(tmp_path):
    transport = make_transport(Cloud(provider="file", file=str(tmp_path / "requests.ndjson")))
    await transport.close()
    assert stat.S_IMODE((tmp_path / "requests.ndjson").stat().st_mode) == 0o600
