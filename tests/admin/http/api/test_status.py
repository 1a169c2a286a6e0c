"""`GET /api/v1/status` and `/-/ready?deep=1`: what each client sees, and what it does not."""

from __future__ import annotations

import asyncio
import time

import msgspec

from relay.admin.answers.status import StatusAnswer
from relay.errors import CODES
from relay.tools.emulator import Fault
from tests.support.admin_port import fetch
from tests.support.inprocess import open_relay

REMOTE = {"X-Forwarded-For": "203.0.113.7"}
"""The header of a proxy: the client is not on this machine."""


async def refused(running) -> None:
    """Wait until the cloud has refused the credentials, and a line is rejected."""
    running.emulator.add_fault(Fault("401"))
    running.relay.hotpath.feed(b"secret.name:1|c\nsecret.name:x|c", time.time(), ("10.1.4.9", 5000))
    while {"RLY120", "RLY301"} - {one.code for one in running.relay.health.findings}:
        await asyncio.sleep(0.05)


async def test_a_client_of_this_machine_sees_everything(tmp_path):
    async with open_relay(tmp_path) as running:
        await refused(running)
        code, _, body = await fetch(running.relay.admin.bound, "/api/v1/status")
        assert code == 200
        answer = msgspec.convert(body, StatusAnswer)
        worst = answer.findings[0]
        assert (answer.level, worst.code, worst.level) == ("problem", "RLY120", "problem")
        assert "HTTP 401" in worst.cloud
        assert answer.host == "test"
        code, _, text = await fetch(running.relay.admin.bound, "/-/ready?deep=1")
        assert (code, text.split()[0]) == (503, "RLY120")
        assert "nothing has reached the cloud" in text
        running.emulator.clear_faults()


async def test_other_clients_see_codes_and_numbers(tmp_path):
    async with open_relay(tmp_path) as running:
        await refused(running)
        code, _, body = await fetch(running.relay.admin.bound, "/api/v1/status", headers=REMOTE)
        assert code == 200
        answer = msgspec.convert(body, StatusAnswer)
        assert [one.code for one in answer.findings][:2] == ["RLY120", "RLY301"]
        assert all(one.sentence == CODES[one.code] for one in answer.findings)
        shown = msgspec.json.encode(answer).decode()
        for hidden in ("10.1.4.9", "secret.name", "HTTP 401", "jdcloud", "127.0.0.1", '"test"', str(tmp_path)):
            assert hidden not in shown
        code, _, text = await fetch(running.relay.admin.bound, "/-/ready?deep=1", headers=REMOTE)
        assert (code, text) == (503, f"RLY120 {CODES['RLY120']}\n")
        code, _, text = await fetch(running.relay.admin.bound, "/-/ready", headers=REMOTE)
        assert code == 200
        running.emulator.clear_faults()


async def test_an_unknown_parameter_is_an_error(tmp_path):
    async with open_relay(tmp_path) as running:
        code, _, body = await fetch(running.relay.admin.bound, "/api/v1/status?verbose=1")
        assert code == 400
        assert body["error"]["fix"] == "this path has no parameters"


async def test_the_metric_has_every_code_and_level(tmp_path):
    async with open_relay(tmp_path) as running:
        await refused(running)
        _, _, text = await fetch(running.relay.admin.bound, "/metrics")
        assert 'relay_problem{code="RLY120",level="problem"} 1.0' in text
        assert 'relay_problem{code="RLY402",level="warning"} 0.0' in text
        running.emulator.clear_faults()
