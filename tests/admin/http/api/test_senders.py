"""Who sends what: the table of a real relay, over UDP, TCP and a Unix socket."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import msgspec
import pytest

from relay.admin.answers.senders import SendersAnswer
from relay.admin.http.api.senders import sender_endpoints
from relay.admin.senders import SenderTable
from relay.config.schema import ListenConfig
from tests.support import admin_port, hotpath
from tests.support.clock import VirtualClock
from tests.support.inprocess import open_relay

PATH = "/api/v1/senders"


async def fetch(address, query: str = "") -> SendersAnswer:
    status, _, answer = await admin_port.fetch(address, PATH + query)
    assert status == 200, answer
    return msgspec.convert(answer, SendersAnswer)


def table(*, clock=None, labels=("udp://A", "udp://B")):
    made = hotpath.make("python")
    return made, SenderTable(made, labels, clock=clock or VirtualClock())


async def test_a_relay_names_its_senders_on_every_kind_of_socket(tmp_path):
    unix = tmp_path / "socket"
    listen = ListenConfig(
        udp=["127.0.0.1:0"], tcp=["127.0.0.1:0"], unix=[f"dgram:{unix}"], hotpath=hotpath.chosen, line_limit=4096
    )
    async with open_relay(tmp_path, listen=listen) as running:
        relay = running.relay
        await running.feed(b"web.hits:1|c\nweb.time:abc|ms\n\x1b[2J:1|c", b"web.hits:1|c")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"bad", str(unix))
        with socket.create_connection(relay.streams.listeners[0].bound) as sock:
            sock.sendall(b"tcp.hits:1|c\n")
            while relay.hotpath.senders().others.lines + sum(one.lines for one in relay.hotpath.senders().known) < 6:
                await asyncio.sleep(0.01)
        found = await fetch(relay.admin.bound)
        scraped = relay.hotpath.tally().senders
    by_address = {one.address: one for one in found.senders}
    assert set(by_address) == {"127.0.0.1", f"unix-dgram:{unix}"}
    local, path = by_address["127.0.0.1"], by_address[f"unix-dgram:{unix}"]
    assert (local.packets, local.lines, local.rejected) == (3, 5, 1)
    assert local.listener.startswith("tcp://127.0.0.1:")
    assert (local.bad.text, local.bad.column, local.bad.reason) == ("web.time:abc|ms", 9, "bad_value")
    assert (path.packets, path.lines, path.rejected, path.bad.reason) == (1, 1, 1, "no_value")
    assert (found.count, found.active, found.limit, found.left_out, found.others.packets, scraped) == (
        2,
        2,
        1024,
        0,
        0,
        2,
    )


async def test_the_order_and_what_is_left_out():
    made, senders = table()
    for number, lines in enumerate((3, 1, 2)):
        made.feed(b"a:1|c\n" * lines + b"bad\n" * number, hotpath.NOW + number, (f"10.0.0.{number}", 1), number)
    async with admin_port.serving(sender_endpoints(senders)) as address:
        by_lines = await fetch(address, "?top=2")
        orders = {by: await fetch(address, f"?by={by}&top=1") for by in ("packets", "rejected", "recent")}
    assert [(one.address, one.lines) for one in by_lines.senders] == [("10.0.0.2", 4), ("10.0.0.0", 3)]
    assert by_lines.left_out == 1
    assert {by: answer.senders[0].address for by, answer in orders.items()} == {
        "packets": "10.0.0.2",
        "rejected": "10.0.0.2",
        "recent": "10.0.0.2",
    }


async def test_what_came_from_more_addresses_than_fit_is_one_row():
    made, senders = table()
    for number in range(1100):
        made.feed(b"a:1|c", hotpath.NOW, (f"10.0.{number >> 8}.{number & 255}", 1))
    async with admin_port.serving(sender_endpoints(senders)) as address:
        found = await fetch(address)
    assert (len(found.senders), found.left_out, found.count) == (50, 974, 1024)
    assert (found.others.address, found.others.packets, found.others.lines) == ("others", 76, 76)


async def test_a_rate_is_the_difference_to_an_earlier_look():
    clock = VirtualClock()
    made, senders = table(clock=clock)

    def rate() -> float | None:
        return senders.answer(top=1, by="lines").senders[0].lines_per_second

    made.feed(b"a:1|c\n" * 10, hotpath.NOW, ("10.0.0.1", 1))
    assert rate() is None
    clock.advance(2)
    made.feed(b"a:1|c\n" * 10, hotpath.NOW, ("10.0.0.1", 1))
    assert rate() == 5
    for _ in range(10):
        clock.advance(3)
        made.feed(b"a:1|c\n" * 30, hotpath.NOW, ("10.0.0.1", 1))
        found = rate()
    assert found == 10
    clock.advance(1000)
    assert rate() is None, "the earlier look is too old"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?tip=3", "unknown parameter tip"),
        ("?top=x", "top must be a whole number"),
        ("?top=-1", "top must be a whole number, at least 0"),
        ("?top=2000", "top must be a whole number, at most 1024"),
        ("?by=name", "by must be "),
    ],
)
async def test_a_wrong_query(query, said):
    async with admin_port.serving(sender_endpoints(table()[1])) as address:
        status, _, answer = await admin_port.fetch(address, PATH + query)
    assert status == 400
    assert said in answer["error"]["message"]


async def test_addresses_are_for_this_machine_only():
    async with admin_port.serving(sender_endpoints(table()[1])) as address:
        status, *_ = await admin_port.fetch(address, PATH, headers={"X-Forwarded-For": "192.0.2.1"})
    assert status in (401, 403)


async def test_a_socket_that_is_unknown_has_no_label():
    made = SimpleNamespace(senders=lambda: hotpath_senders(7))
    answer = SenderTable(made, [], clock=VirtualClock()).answer(top=1, by="lines")
    assert (answer.senders[0].address, answer.senders[0].listener) == ("", "")


def hotpath_senders(listener: int):
    made = hotpath.make("python")
    made.feed(b"a:1|c", hotpath.NOW, None, listener)
    return made.senders()
