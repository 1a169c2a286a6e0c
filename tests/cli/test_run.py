"""The checks of `run` before a take-over."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext

import pytest

from relay.config.schema import CloudConfig
from relay.daemon.cloud import make_transport
from relay.daemon.lifecycle import plan
from relay.delivery.state.directory import Holder, StateDirectory
from relay.errors import RelayError


@pytest.mark.parametrize("is_ours", [False, True])
def test_before_an_address_is_taken_over_the_state_directory_is_tried(tmp_path, monkeypatch, is_ours):
    monkeypatch.setattr(plan, "holder", lambda _: Holder(os.getpid(), os.getppid() if is_ours else None))
    in_use = pytest.raises(RelayError, match="RLY105")
    held = StateDirectory.open(tmp_path / "state")
    with nullcontext() if is_ours else in_use:
        plan.check_state(tmp_path / "state")
    held.close()
    plan.check_state(tmp_path / "state")
    plan.check_state(None)


async def test_requests_written_to_a_file_are_for_this_user_alone(tmp_path):
    transport = make_transport(CloudConfig(provider="file", file=str(tmp_path / "requests.ndjson")))
    await transport.close()
    assert stat.S_IMODE((tmp_path / "requests.ndjson").stat().st_mode) == 0o600
