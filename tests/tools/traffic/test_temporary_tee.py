"""A temporary tee, with a small server in place of the relay."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from relay.cli.running.admin_client import ask
from relay.errors import RelayError
from relay.tools.traffic.temporary_tee import SECONDS, Copied, TemporaryTee

TO = "127.0.0.1:40000"


class Admin:
    """State: the requests, and the next answer."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.answers: list[web.Response] = []

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Host"].startswith("127.0.0.1:"), "others are refused"
        assert "Origin" not in request.headers
        self.asked.append(await request.json())
        return self.answers.pop(0) if self.answers else counts(9, 9)


def counts(datagrams: int, dropped: int) -> web.Response:
    return web.json_response({"datagrams": datagrams, "dropped": dropped})


def post_to(address: tuple[str, int]):
    return lambda body: ask(address, "/api/v1/tee", post=body, fix="")


@pytest.fixture
async def admin():
    stand_in = Admin()
    application = web.Application()
    application.router.add_post("/api/v1/tee", stand_in.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand_in.post = post_to(runner.addresses[0][:2])
    yield stand_in
    await runner.cleanup()


async def hold(tee: TemporaryTee, admin: Admin, renewals: int) -> None:
    def run() -> None:
        with tee:
            for _ in range(500):
                if len(admin.asked) > renewals:
                    return
                time.sleep(0.01)
            pytest.fail("it was not renewed")

    await asyncio.to_thread(run)


async def test_it_is_renewed_and_ends_soon_after(admin):
    admin.answers = [counts(0, 0), counts(5, 1)]
    tee = TemporaryTee(admin.post, to=TO, every=0.01)
    await hold(tee, admin, renewals=1)
    asked = admin.asked
    assert {wish["to"] for wish in asked} == {TO}
    assert [wish["seconds"] for wish in asked] == [SECONDS] * (len(asked) - 1) + [1]
    assert tee.copied == Copied(9, 9), "asked at its very end"
    assert tee.gaps == 0


async def test_counts_go_on_when_a_worker_is_replaced(admin):
    admin.answers = [counts(0, 0), counts(50, 3), counts(1, 0), web.Response(status=503), counts(2, 1)]
    tee = TemporaryTee(admin.post, to=TO, every=0.01)
    await hold(tee, admin, renewals=4)
    assert tee.copied == Copied(59, 12)
    assert tee.gaps == 2, "a new worker, and no answer"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=404), "cannot copy its datagrams"),
        (web.Response(status=409, text="four leases are there"), "answered 409: four leases are there"),
        (web.Response(text="<html>"), "answered 200: <html>"),
        (web.json_response([1]), "answered 200"),
        (web.json_response({"datagrams": "many", "dropped": 0}), "answered 200"),
    ],
)
async def test_a_refusal_is_an_error(admin, answer, said):
    admin.answers = [answer]
    with pytest.raises(RelayError, match=said) as caught:
        await hold(TemporaryTee(admin.post, to=TO), admin, renewals=0)
    assert caught.value.exit_code == 69
    assert len(admin.asked) == 1


async def test_no_relay_is_an_error():
    with (
        pytest.raises(RelayError, match=r"no relay answers on 127.0.0.1:1: .*refused"),
        TemporaryTee(post_to(("127.0.0.1", 1)), to=TO),
    ):
        pytest.fail("no relay answered")
