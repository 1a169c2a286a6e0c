"""A tee to the relay itself is refused before the start, if addresses show it."""

from __future__ import annotations

import json

import pytest

from relay.config.addresses import is_loop
from relay.config.loading import load
from relay.errors import ConfigError


@pytest.mark.parametrize(
    ("host", "listen", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:8125", True),
        ("127.0.0.1", "127.0.0.1:8126", False),
        ("127.0.0.1", "0.0.0.0:8125", True),
        ("127.0.0.1", ":8125", True),
        ("127.9.9.9", "0.0.0.0:8125", True),
        ("127.9.9.9", "127.0.0.1:8125", False),
        ("0.0.0.0", "127.0.0.1:8125", True),
        ("localhost", "127.0.0.1:8125", True),
        ("LocalHost", "[::1]:8125", True),
        ("::1", "[::1]:8125", True),
        ("0:0::1", "[::]:8125", True),
        ("::", "[::1]:8125", True),
        ("::1", "127.0.0.1:8125", False),
        ("::ffff:127.0.0.1", "127.0.0.1:8125", True),
        ("10.0.0.5", "10.0.0.5:8125", True),
        ("10.0.0.5", "0.0.0.0:8125", False),
        ("statsd.example", "0.0.0.0:8125", False),
        ("127.0.0.1", "nonsense", False),
        ("127.0.0.1", "", False),
    ],
)
def test_what_addresses_tell(host, listen, expected):
    assert is_loop(host, 8125, [listen]) is expected


def load_tees(*tees: str) -> None:
    load(None, {"STATSD_RELAY_TEE": json.dumps([{"to": to} for to in tees])})


def test_a_loop_is_refused_with_its_code():
    with pytest.raises(ConfigError) as caught:
        load_tees("127.0.0.1:9125", "127.0.0.1:8125")
    [problem] = caught.value.problems
    assert (problem.code, problem.severity) == ("RLY106", "error")
    assert problem.message == 'tee.2.to "127.0.0.1:8125" is an address of this relay: copies would come back for ever'


def test_at_most_four():
    load_tees(*["127.0.0.1:1"] * 4)
    with pytest.raises(ConfigError, match=r"tee\.5 is one too many"):
        load_tees(*["127.0.0.1:1"] * 5)
