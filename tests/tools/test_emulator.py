"""The emulator over HTTP: signatures, limits, formats of answers, faults."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from relay.clock import SystemClock
from relay.config.types import Secret
from relay.jdcloud.cloud import JDCloud
from relay.jdcloud.sign import Signer
from relay.tools.emulator import Fault
from relay.tools.emulator.check import check_point
from tests.support.emulator import ControlledEmulator

CLOCK = SystemClock()


def point(**changes) -> dict:
    values = {
        "namespace": "n",
        "metric": "m",
        "dimensions": {"host": "h"},
        "timestamp": int(CLOCK.wall()) // 60 * 60,
        "type": 2,
        "values": {"sum": 1},
    }
    return {**values, **changes}


def body(*points: dict) -> bytes:
    return json.dumps({"metricDataList": points}).encode()


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession, secret: str = "sk", region: str = "r1") -> None:
        signer = Signer(access_key="ak", secret_key=Secret(secret), region=region)
        nonces = iter(range(10**6))
        self.nonce = lambda: f"nonce-{next(nonces)}"
        self.cloud = JDCloud(
            endpoint=f"{url}/v1/customMetrics",
            region=region,
            signer=signer,
            nonce=lambda: self.nonce(),  # noqa: PLW0108 - replaced by a test
        )
        self.session = session

    async def post(self, data: bytes, signed: bytes | None = None, **headers) -> tuple[int, dict]:
        headers = {**self.cloud.request_headers(data if signed is None else signed, now=CLOCK.wall()), **headers}
        async with self.session.post(self.cloud.url, data=data, headers=headers) as response:
            text = await response.read()
            return response.status, json.loads(text) if response.content_type == "application/json" else {}


@pytest.fixture
async def emulator():
    emulator = ControlledEmulator(access_key="ak", secret_key="sk", region="r1", clock=CLOCK)
    yield emulator
    await emulator.stop()


@pytest.fixture
async def client(emulator):
    async with aiohttp.ClientSession() as session:
        yield Client(await emulator.start(), session)


async def test_a_signed_point_is_stored(emulator, client):
    status, answer = await client.post(body(point(), point(metric="o", values={"sum": 2.5})))
    assert (status, answer["result"]) == (200, {"success": True})
    assert (emulator.total("m"), emulator.total("o"), emulator.total("m", host="other")) == (1, 2.5, 0)
    assert emulator.duplicates() == []
    await client.post(body(point()))
    assert len(emulator.duplicates()) == 1


async def test_signatures_are_verified(emulator, client):
    data = body(point())
    for wrong in (
        client.post(data, signed=data + b" "),
        client.post(data, authorization="nonsense"),
        client.post(data, **{"x-jdcloud-nonce": "another"}),
        client.post(data, **{"x-jdcloud-date": "20190214T104514Z"}),
        Client(client.cloud.url.removesuffix("/v1/customMetrics"), client.session, secret="wrong").post(data),
        Client(client.cloud.url.removesuffix("/v1/customMetrics"), client.session, region="r2").post(data),
    ):
        assert (await wrong)[0] == 401
    client.nonce = lambda: "fixed"
    assert [(await client.post(data))[0] for _ in range(2)] == [200, 401]
    assert len(emulator.received) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": ""},
        {"metric": "a-b"},
        {"metric": "x" * 256},
        {"metric": 1},
        {"namespace": "n s"},
        {"dimensions": {}},
        {"dimensions": {str(n): "v" for n in range(6)}},
        {"dimensions": {"k": ""}},
        {"dimensions": {"k": "é"}},
        {"dimensions": {"k": "v" * 253}},
        {"dimensions": []},
        {"timestamp": 17640000000},
        {"timestamp": 1764000000.5},
        {"timestamp": 1000000000},
        {"type": 3},
        {"type": True},
        {"type": 1, "values": {"sum": 1}},
        {"values": {"value": 1}},
        {"values": {}},
        {"values": {"sum": "1"}},
        {"values": {"sum": None}},
        {"values": {"sum": 9223372036854775808}},
        {"values": {"count": -1}},
        {"extra": 1},
    ],
)
def test_every_limit(changes):
    assert check_point(point(), CLOCK.wall()) == ""
    assert check_point(point(**changes), CLOCK.wall()) != ""


async def test_a_bad_point_is_listed_and_its_neighbours_are_stored(emulator, client):
    status, answer = await client.post(body(point(), point(metric="bad-name")))
    assert status == 200
    [entry] = answer["result"]["errMetricDataList"]
    assert "illegal" in entry["errDetail"]
    assert len(emulator.received) == 1


async def test_requests_that_are_refused_as_a_whole(client):
    assert (await client.post(b"{"))[0] == 400
    assert (await client.post(body()))[0] == 400
    assert (await client.post(body(*[point()] * 51)))[0] == 400
    assert (await client.post(body(point()) + b" " * 256_000))[0] == 413


async def test_faults(emulator, client):
    for fault in ("503:1", "partial:1", "garbage:1"):
        emulator.add_fault(Fault.parse(fault))
    assert [(await client.post(body(point())))[0] for _ in range(4)] == [503, 200, 200, 200]
    assert len(emulator.received) == 2
    for kind, stored in (("reset", 2), ("lost", 3), ("cut", 4)):
        emulator.add_fault(Fault.parse(f"{kind}:1"))
        with pytest.raises(aiohttp.ClientError):
            await client.post(body(point()))
        assert len(emulator.received) == stored
    emulator.add_fault(Fault.parse("hang"))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.post(body(point())), 0.2)


@pytest.mark.parametrize("text", ["", "x", "99", "429:", "429:x%", "hang:%", "600"])
def test_a_fault_that_is_none(text):
    with pytest.raises(ValueError, match="must be KIND"):
        Fault.parse(text)


def test_a_share_of_requests():
    fault = Fault.parse("429:5%")
    assert [fault.strikes(dice) for dice in (0.0, 0.049, 0.05, 0.9)] == [True, True, False, False]
