"""Precedence of image, file, variable and flag, and the warning where one overrides another."""

from __future__ import annotations

import pytest

from relay.config.environment import variables
from relay.config.loading import load
from relay.errors import ConfigError

FILE = '[listen]\nudp = ["127.0.0.1:9125"]\n[spool]\npath = "/var/tmp/relay"\n[tags]\nenv = "file"\n'
IMAGE = {
    "STATSD_RELAY_DEFAULT_LISTEN_UDP": "0.0.0.0:8125",
    "STATSD_RELAY_DEFAULT_LISTEN_HOTPATH": "native",
    "STATSD_RELAY_DEFAULT_SPOOL_PATH": "/var/lib/statsd-relay/state",
    "STATSD_RELAY_DEFAULT_TAGS_ENV": "image",
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "relay.toml"
    path.write_text(FILE)
    return path


def test_a_default_of_the_image_lies_below_the_file(path):
    loaded = load(path, IMAGE)
    config = loaded.config
    assert (config.listen.udp, config.spool.path, config.tags["env"]) == (["127.0.0.1:9125"], "/var/tmp/relay", "file")
    assert (config.listen.hotpath, loaded.warnings) == ("native", ())
    assert loaded.origins["listen.hotpath"] == "STATSD_RELAY_DEFAULT_LISTEN_HOTPATH"
    assert load(None, IMAGE).config.listen.udp == ["0.0.0.0:8125"]


def test_a_variable_lies_above_the_file_and_is_named_with_what_it_hides(path):
    loaded = load(path, IMAGE | {"STATSD_RELAY_LISTEN_UDP": "127.0.0.1:1", "STATSD_RELAY_LISTEN_TCP": "127.0.0.1:2"})
    assert loaded.config.listen.udp == ["127.0.0.1:1"]
    [warning] = loaded.warnings
    assert (warning.code, warning.severity) == ("RLY111", "warning")
    assert warning.message == f"STATSD_RELAY_LISTEN_UDP overrides listen.udp of {path}:2"


def test_a_tag_has_a_variable_of_its_own(path):
    config = load(path, {"STATSD_RELAY_TAGS_HOST": "web-1", "STATSD_RELAY_TAGS": "zone=b"}).config
    assert (config.tags["host"], config.tags["zone"], config.tags["env"]) == ("web-1", "b", "file")


def test_what_a_service_called_tags_or_default_injects_is_no_setting():
    injected = {"TAGS_SERVICE_HOST": "10.0.0.1", "TAGS_PORT": "tcp://10.0.0.1:80", "DEFAULT_SERVICE_PORT": "80"}
    loaded = load(None, {f"STATSD_RELAY_{name}": value for name, value in injected.items()})
    assert (loaded.config.tags.keys() - {"host"}, loaded.warnings) == (set(), ())


def test_an_unknown_default_is_told(path):
    [warning] = load(path, {"STATSD_RELAY_DEFAULT_LISTEN_UPD": "x"}).warnings
    assert "STATSD_RELAY_DEFAULT_LISTEN_UPD" in warning.message
    assert "STATSD_RELAY_LISTEN_UDP" in warning.fix


def test_an_empty_variable_that_cannot_be_empty_is_to_be_unset():
    """An empty variable of a list, or of a key that is empty by default, sets that value."""
    told = 0
    for name, key in variables().items():
        try:
            load(None, {name: ""})
        except ConfigError as error:
            [problem] = error.problems
            assert problem.message == f"{key} is empty"
            assert problem.fix.startswith(f"unset {name}")
            told += 1
    assert told > 20


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_used_is_told(name, path):
    environ = {name: "http://u:hunter2@127.0.0.1:3128", "STATSD_RELAY_CLOUD_REGION": "cn-north-1"}
    [warning] = load(path, environ).warnings
    assert warning.code == "RLY112"
    assert name in warning.message
    assert "[cloud] proxy" in warning.fix
    assert "hunter2" not in str(warning)
    path.write_text('[cloud]\nproxy = "http://127.0.0.1:3128"\n')
    assert load(path, environ).warnings == ()


def test_no_proxy_is_missed_on_the_way_to_a_private_address(path):
    path.write_text('[cloud]\nendpoint = "http://127.0.0.1:1/v1/customMetrics"\n')
    assert load(path, {"HTTPS_PROXY": "http://127.0.0.1:3128"}).warnings == ()
