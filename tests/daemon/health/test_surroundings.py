"""What only files say: datagrams for closed ports, the memory limit, files that were set aside."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from relay.clock import SystemClock
from relay.daemon.health.surroundings import Surroundings, count_closed_ports, read_memory_limit
from relay.listener.socket_activation import decode_deaths, encode_deaths
from tests.support.inprocess import open_relay


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_datagrams_for_a_closed_port_are_counted(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as closed:
        try:
            closed.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        port = closed.getsockname()[1]
    before = count_closed_ports()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for _ in range(50):
            sock.sendto(b"a:1|c", (address, port))
    assert count_closed_ports() - before >= 50


def test_a_memory_limit_is_a_number_of_bytes():
    assert read_memory_limit() == 0 or read_memory_limit() > 1024**2


async def test_a_file_that_was_set_aside_is_a_note_until_it_is_removed(tmp_path):
    kept = tmp_path / "spool.db.corrupt-20261130T120000"
    async with open_relay(tmp_path) as running:
        for name in (kept.name, f"{kept.name}-wal", "checkpoint-1764590400.srp", "notes.txt"):
            (tmp_path / name).touch()
        health, ends = running.relay.health, time.monotonic() + 30
        while not (found := [one for one in health.findings if one.code == "RLY412"]):
            assert time.monotonic() < ends
            await asyncio.sleep(0.1)
        assert [one.subject for one in found] == [f"{kept} is damaged and set aside"]
        assert found[0].fix == f"inspect {kept}, then remove it"
        kept.unlink()
        while any(one.code == "RLY412" for one in health.findings):
            assert time.monotonic() < ends
            await asyncio.sleep(0.1)


async def test_a_directory_that_is_gone_has_no_files(tmp_path):
    surroundings = Surroundings(tmp_path / "gone", SystemClock())
    running = asyncio.create_task(surroundings.run())
    await asyncio.sleep(0.2)
    running.cancel()
    assert surroundings.set_aside == []


def test_deaths_pass_from_a_worker_to_the_next():
    deaths = [(1764590400.5, "killed by SIGKILL"), (1764590500.0, "exit code 70")]
    assert decode_deaths(encode_deaths(deaths)) == deaths


@pytest.mark.parametrize("value", ["", "{}", '{"deaths": 5}', '{"deaths": [[1]]}', '{"deaths": [["x", "y"]]}'])
def test_a_variable_that_another_program_has_set_holds_no_deaths(value):
    assert decode_deaths(value) == []
