"""When a reload changes each key."""

from __future__ import annotations

import msgspec
import pytest

from relay.config.loading import keys
from relay.config.schema import Config, RuleConfig, TeeConfig
from relay.config.types import Seconds, Secret, Size
from relay.daemon.lifecycle.changes import Changes, compare, renames

NOTHING = Changes([], [], [], [])


def changed(key: str) -> Config:
    """The default configuration, another value for one key."""
    table, _, name = key.partition(".")
    config = Config()
    if table == "tags":
        return msgspec.structs.replace(config, tags={**config.tags, name: "other"})
    section = getattr(config, table)
    old = getattr(section, name)
    for kind in (Seconds, Size, Secret):
        if isinstance(old, kind):
            new = kind("other") if kind is Secret else kind(old + 1)
            break
    else:
        new = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else ["x"] if old == [] else "other"
    return msgspec.structs.replace(config, **{table: msgspec.structs.replace(section, **{name: new})})


@pytest.mark.parametrize(
    ("key", "when"),
    [
        ("log.level", "at_once"),
        ("log.format", "at_once"),
        ("config.watch", "at_once"),
        ("cloud.secret_key", "at_once"),
        ("cloud.access_key_file", "at_once"),
        ("cloud.namespace", "at_next_window"),
        ("cloud.max_age", "at_next_window"),
        ("names.prefix", "at_next_window"),
        ("window.percentiles", "at_next_window"),
        ("window.percentile_style", "at_next_window"),
        ("window.idle", "at_next_window"),
        ("window.idle_gauges", "at_next_window"),
        ("limits.series", "at_next_window"),
        ("listen.allow", "at_next_window"),
        ("listen.dialects", "at_next_window"),
        ("listen.gauge_deltas", "at_next_window"),
        ("listen.names", "at_next_window"),
        ("listen.udp", "replacing"),
        ("admin.listen", "replacing"),
        ("admin.hosts", "replacing"),
        ("window.seconds", "refused"),
        ("listen.readers", "refused"),
        ("listen.receive_buffer", "refused"),
        ("listen.hotpath", "refused"),
        ("spool.path", "refused"),
        ("telemetry.prefix", "refused"),
    ],
)
def test_when_a_key_may_change(key, when):
    assert compare(Config(), changed(key)) == NOTHING._replace(**{when: [key]})


def test_tags_change_as_one_table():
    assert compare(Config(), changed("tags.env")) == NOTHING._replace(at_next_window=["tags"])


def test_exactly_the_differing_keys_are_found():
    assert not compare(Config(), Config())
    for key in keys():
        found = compare(Config(), changed(key))
        assert [key] in found, key


def test_lists_of_tables_change_at_the_edge_as_a_whole():
    config = msgspec.structs.replace(Config(), rule=[RuleConfig(match="**")], tee=[TeeConfig(to="h:1")])
    assert compare(Config(), config) == NOTHING._replace(at_next_window=["rule", "tee"])


@pytest.mark.parametrize(
    ("key", "renaming"),
    [
        ("names.prefix", True),
        ("tags.env", True),
        ("listen.dialects", True),
        ("listen.names", True),
        ("listen.allow", False),
        ("window.idle", False),
        ("limits.series", False),
        ("cloud.namespace", False),
    ],
)
def test_which_keys_may_rename_series(key, renaming):
    assert renames(Config(), changed(key)) is renaming


def test_rules_rename_series():
    assert renames(Config(), msgspec.structs.replace(Config(), rule=[RuleConfig(match="**")]))
    assert not renames(Config(), Config())


def test_several_keys_are_sorted_together():
    config = msgspec.structs.replace(changed("log.level"), limits=changed("limits.memory").limits)
    assert compare(Config(), config) == Changes(["log.level"], ["limits.memory"], [], [])
