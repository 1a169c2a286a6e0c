"""Several readers of one address have the outcome of one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.config.schema import ListenConfig
from relay.errors import RelayError
from relay.listener.addresses import Address
from relay.listener.sockets import open_udp
from tests.support import hotpath
from tests.support.inprocess import open_relay

SENDERS = 40
ROUNDS = 25


async def test_readers_share_the_work_and_agree(implementation):
    listen = ListenConfig(udp=["127.0.0.1:0"], hotpath=hotpath.chosen, readers=3)
    async with open_relay(None, listen=listen) as running:
        listeners = running.relay.listeners
        assert len(listeners) == (3 if implementation == "native" else 1)
        assert len({listener.label for listener in listeners}) == len(listeners)
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SENDERS)]
        for _ in range(ROUNDS):
            for number, sender in enumerate(senders):
                text = b"hits:2|c\nlevel:+1|g\nspent:%d|ms\nusers:u%d|s" % (number, number)
                sender.sendto(text, listeners[0].bound)
        while sum(listener.datagrams for listener in listeners) < SENDERS * ROUNDS:
            await asyncio.sleep(0.005)
        if implementation == "native":
            assert all(listener.datagrams > 0 for listener in listeners), "one of them got nothing"
        await running.delivered("hits", 2 * SENDERS * ROUNDS)
        assert running.emulator.total("spent") == ROUNDS * sum(range(SENDERS))
        assert max(point["values"]["max"] for point in running.emulator.points("level")) == SENDERS * ROUNDS
        for sender in senders:
            sender.close()


async def test_a_second_relay_is_an_error_also_when_sockets_are_shared():
    listen = ListenConfig(udp=["127.0.0.1:0"], hotpath=hotpath.chosen, readers=2)
    async with open_relay(None, listen=listen) as running:
        host, port = running.relay.listeners[0].bound
        with pytest.raises(RelayError, match="RLY101"):
            open_udp(Address(host, port), receive_buffer=10_000)
