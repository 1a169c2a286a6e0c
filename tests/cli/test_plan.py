"""The checks before a take-over: every foreseeable failure comes before the packets of the other daemon."""

from __future__ import annotations

import os

import pytest

from relay.cli.plan import Asked, plan
from relay.delivery.state.directory import Holder, StateDirectory
from relay.errors import RelayError


def run(tmp_path, state, *options: str) -> str:
    file = tmp_path / "relay.toml"
    file.write_text(f'[cloud]\nprovider = "stdout"\n[spool]\npath = "{state}"\n')
    asked = Asked()
    plan.main(["-c", str(file), *options], standalone_mode=False, obj=asked)
    return asked.answer


def test_a_state_directory_that_cannot_be_used_is_seen_before_anything_is_taken(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RelayError, match="cannot use state directory"):
        run(tmp_path, tmp_path / "file" / "state", "--take-over")
    assert run(tmp_path, tmp_path / "file" / "state")


def test_one_that_another_relay_uses_is_seen_too(tmp_path):
    state = StateDirectory.open(tmp_path / "state")
    try:
        with pytest.raises(RelayError, match="RLY105"):
            run(tmp_path, tmp_path / "state", "--take-over")
    finally:
        state.close()


def test_our_own_worker_may_have_it(tmp_path, monkeypatch):
    monkeypatch.setattr("relay.daemon.lifecycle.plan.holder", lambda _: Holder(os.getpid(), os.getppid()))
    state = StateDirectory.open(tmp_path / "state")
    try:
        assert run(tmp_path, tmp_path / "state", "--take-over")
    finally:
        state.close()
