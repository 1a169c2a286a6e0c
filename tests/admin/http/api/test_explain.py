"""A line is traced by the running relay, with its own rules."""

from __future__ import annotations

import json

import pytest

from relay.config.schema import RuleConfig
from tests.support.admin_port import fetch
from tests.support.inprocess import open_relay

RULES = [RuleConfig(match="debug.**", action="drop"), RuleConfig(match="web.*.count", metric="web.$1")]


async def ask(running, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (await fetch(running.relay.admin.bound, "/api/v1/explain", body=data))[::2]


async def test_each_verdict(tmp_path):
    async with open_relay(tmp_path, rule=RULES) as running:
        _, sent = await ask(running, {"line": "web.cart.count:3|c|#a:b"})
        _, dropped = await ask(running, {"line": "debug.sql:1|c"})
        _, rejected = await ask(running, {"line": "web:abc|c"})
        _, event = await ask(running, {"line": "_e{1,1}:a|b"})
        assert running.relay.status.books().received == 0, "a traced line is not counted"
    assert (sent["verdict"], sent["points"][0]["metric"]) == ("sent", "web.cart")
    assert any("rule" in step["label"] for step in sent["steps"])
    assert (dropped["verdict"], dropped["reason"]) == ("dropped", "rule")
    assert (rejected["verdict"], rejected["reason"], rejected["at"]) == ("rejected", "bad_value", 4)
    assert event["verdict"] == "event"


@pytest.mark.parametrize("body", [{"line": ""}, {"line": "x" * 8193}, {"line": "a:1|c\nb:1|c"}, {}, b"x", {"lin": "a"}])
async def test_a_wrong_body(tmp_path, body):
    async with open_relay(tmp_path) as running:
        status, answer = await ask(running, body)
    assert (status, answer["error"]["code"]) == (400, "bad_request")


async def test_a_foreign_page_is_refused(tmp_path):
    async with open_relay(tmp_path) as running:
        headers = {"Origin": "http://evil.example"}
        address = running.relay.admin.bound
        status, _, _ = await fetch(address, "/api/v1/explain", body=b'{"line":"a:1|c"}', headers=headers)
    assert status == 403
