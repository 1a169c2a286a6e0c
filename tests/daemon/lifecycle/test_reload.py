"""Reloads in a running relay: after the edge of a window the whole file is in force, after any earlier reloads."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.admin.log_ring import LogRing
from relay.clock import SystemClock
from relay.config.loading import Loaded, load
from relay.daemon.cloud import make_cloud
from relay.daemon.egress import pool_settings
from relay.daemon.lifecycle.in_force import ConfigInForce
from relay.daemon.lifecycle.plan import RunOptions
from relay.daemon.lifecycle.reload import Reloader
from relay.daemon.lifecycle.worker import Worker
from relay.delivery.transport import HttpTransport
from tests.support.relay import environment

if TYPE_CHECKING:
    from relay.config.schema import Config

EXAMPLES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Relay:
    """The parts of a relay that a reload changes; the test decides when the edge comes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.status = SimpleNamespace(is_last_reload_successful=True, ready=lambda: (True, "listening"))
        self.pool = self
        self.closer = self
        self.sender = (None, None, pool_settings(config))
        self.in_force = ConfigInForce()
        self.log_ring = LogRing()
        self.context = SimpleNamespace(clock=SystemClock())
        self._change = None

    def use_credentials(self, config, credentials):
        return make_cloud(config.cloud, credentials)

    async def replace(self, *, cloud=None, transport=None, settings=None) -> None:
        self.sender = tuple(new or old for new, old in zip((cloud, transport, settings), self.sender, strict=True))

    def schedule_change(self, change) -> None:
        self._change = change

    def reconfigure(self, config, settings, *, rules, credentials, transport) -> None:
        self.config = config
        if self.sender[1]:
            self.sender[1].is_closed = True  # as the pool does with the one it has used
        self.sender = (make_cloud(config.cloud, credentials), transport, pool_settings(config))

    def edge(self) -> None:
        change, self._change = self._change, None
        if change:
            change()


class Counted(HttpTransport):
    """A transport that knows whether it was closed."""

    def __init__(self, made: list[Counted]) -> None:
        super().__init__(timeout=1, connect_timeout=1, concurrency=1, ca_file="", proxy="")
        self.is_closed = False
        made.append(self)

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def reloading(tmp_path, monkeypatch):
    """`reloading()`: a relay, its Reloader, the path of its file, and every transport that was made."""
    for name, value in environment("http://127.0.0.1:1", tmp_path, CONFIG_WATCH="false").items():
        monkeypatch.setenv(name, value)
    for name in ("TAGS", "WINDOW_SECONDS"):
        monkeypatch.delenv(f"STATSD_RELAY_{name}")
    path = tmp_path / "relay.toml"
    made: list[Counted] = []
    monkeypatch.setattr("relay.daemon.lifecycle.reload.make_transport", lambda _: Counted(made))
    monkeypatch.setattr("relay.daemon.lifecycle.reload.configure_log", lambda _, is_continued, copy: None)

    def begin():
        path.write_text("")
        made.clear()
        loaded = on_disk(path)
        relay = Relay(loaded.config)
        return relay, Reloader(relay, Worker(), loaded, RunOptions()), path, made

    return begin


def unused(relay: Relay, made: list[Counted]) -> list[Counted]:
    """Return the open transports that nothing sends with."""
    return [transport for transport in made if not transport.is_closed and transport is not relay.sender[1]]


def on_disk(path) -> Loaded:
    return load(path, os.environ)


FILES = st.builds(
    lambda *parts: "\n".join(filter(None, parts)),
    st.sampled_from(["", "[limits]\nseries = 1000", "[limits]\nserie = 1", "[limits]\nseries = 2000"]),
    st.sampled_from(
        ["", *(f"[cloud]\n{key}" for key in ("requests_per_minute = 300", "timeout = 3", "spread = '0s'"))]
    ),
    st.sampled_from(["", "[tags]\nenv = 'a'", "[tags]\nenv = 'b'"]),
    st.sampled_from(["", "[log]\nlevel = 'debug'", "[window]\nseconds = 7"]),
)
STEPS = st.lists(st.one_of(FILES, st.none()), min_size=1, max_size=8)
"""A file that is reloaded, or the edge of a window."""


@EXAMPLES
@given(steps=STEPS)
def test_after_the_edge_all_of_the_file_that_was_accepted_last_is_in_force(reloading, steps):
    async def scenario():
        relay, reloader, path, made = reloading()
        accepted = relay.config
        for step in steps:
            if step is None:
                relay.edge()
                assert relay.config == accepted
                continue
            path.write_text(step)
            await reloader._reload()
            if relay.status.is_last_reload_successful:
                accepted = on_disk(path).config
            assert relay.config.log == accepted.log, "what may change at once has changed"
        relay.edge()
        assert relay.config == accepted
        assert relay.sender[2] == pool_settings(accepted), "the senders use it, too"
        await reloader.close()
        assert unused(relay, made) == [], "superseded transports are closed"

    asyncio.run(scenario())


async def test_an_edge_while_the_file_is_read_repeats_the_comparison(reloading):
    relay, reloader, path, made = reloading()
    path.write_text("[limits]\nseries = 1000\n")
    await reloader._reload()
    path.write_text("[limits]\nseries = 1000\n[tags]\nenv = 'a'\n")
    read, seen = reloader._read, []

    def slowly():
        prepared = read()
        seen.append(prepared.changes.at_next_window)
        if len(seen) == 1:
            relay.edge()
        return prepared

    reloader._read = slowly
    await reloader._reload()
    assert seen == [["tags", "limits.series"], ["tags"]]
    relay.edge()
    assert unused(relay, made) == []


async def test_renewed_credentials_come_from_the_sources_in_the_new_file(reloading, tmp_path):
    relay, reloader, path, _ = reloading()
    key = tmp_path / "key"
    key.write_text("one")
    key.chmod(0o600)
    path.write_text(f"[cloud]\naccess_key = 'a'\nsecret_key_file = '{key}'\nregion = 'cn-south-1'\n")
    await reloader._reload()
    cloud = relay.sender[0]
    assert cloud.renew() is False
    key.write_text("two")
    assert cloud.renew() is True


async def test_a_reload_during_a_hand_over_is_left_to_the_next_worker(reloading):
    relay, reloader, path, made = reloading()
    path.write_text("[limits]\nseries = 1000\n")
    reloader.stop()
    assert await reloader._reload() is None
    relay.edge()
    assert relay.config.limits.series != 1000
    assert unused(relay, made) == []


async def test_a_plan_that_the_supervisor_does_not_get_refuses_the_reload(reloading, monkeypatch):
    def refuse(*_, **__) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    relay, reloader, path, made = reloading()
    path.write_text("[limits]\nseries = 1000\n")
    monkeypatch.setattr(Worker, "accept", refuse)
    assert "Broken pipe" in str(await reloader._reload())
    assert not relay.status.is_last_reload_successful
    assert len(made) == 1
    assert unused(relay, made) == []
