"""The admin port while the daemon that is being replaced still has it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.config.schema import AdminConfig
from relay.errors import RelayError
from tests.support.inprocess import open_relay


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"health\n")
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return answer


async def test_the_admin_port_opens_as_soon_as_it_is_free():
    with socket.create_server(("127.0.0.1", 0)) as old:
        port = old.getsockname()[1]
        async with open_relay(None, admin=AdminConfig(listen=f"127.0.0.1:{port}"), takes_over=True) as running:
            server = running.relay.admin
            assert (server.bound, server.address) == (("", 0), f"127.0.0.1:{port}")
            old.close()
            async with asyncio.timeout(10):
                while server.bound == ("", 0):
                    await asyncio.sleep(0.05)
            assert await ask(port) == b"health: up\n"


async def test_a_stop_ends_the_wait_for_the_port():
    with socket.create_server(("127.0.0.1", 0)) as old:
        async with open_relay(None, admin=AdminConfig(listen=f"127.0.0.1:{old.getsockname()[1]}"), takes_over=True):
            pass
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "admin port"]


async def test_without_a_take_over_a_taken_port_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as old, pytest.raises(RelayError, match="RLY101  cannot bind admin"):
        async with open_relay(None, admin=AdminConfig(listen=f"127.0.0.1:{old.getsockname()[1]}")):
            pass
