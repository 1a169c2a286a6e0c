"""The port for the old daemon, which other programs may use too."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest

from relay.cli.shared.progress import ChangingLine
from relay.errors import ExitCode, RelayError
from relay.tools.compare.flushes import Flushes
from relay.tools.compare.graphite import LINE_MOST
from relay.tools.compare.namespaces import find_namespaces
from relay.tools.compare.receiver import CONNECTIONS, Receiver
from relay.tools.compare.session import Phase


@asynccontextmanager
async def receiving(clock):
    flushes = Flushes(find_namespaces)
    receiver = Receiver(flushes, clock)
    address = await receiver.start("127.0.0.1", 0)
    try:
        yield flushes, receiver, address
    finally:
        await receiver.stop()


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_lines_of_several_connections_and_what_is_none(clock):
    now = int(clock.wall())
    async with receiving(clock) as (flushes, receiver, address):
        _, one = await asyncio.open_connection(*address)
        _, other = await asyncio.open_connection(*address)
        one.write(b"stats.gauges.a 1 %d\nstats.gau" % now)
        await until(lambda: flushes.names)
        other.write(b"stats.gauges.b 1 %d\n\n\r\nGET / HTTP/1.1\r\n\xff\xfe\n" % now)
        await until(lambda: len(flushes.names) == 2)
        one.write(b"ges.c 1 %d\n" % now)
        await until(lambda: len(flushes.names) == 3)
        one.write(b"x" * (3 * LINE_MOST) + b"\nstats.gauges.d 1 %d\n" % now)
        await until(lambda: len(flushes.names) == 4)
        assert list(flushes.names) == [f"stats.gauges.{letter}" for letter in "abcd"]
        assert (flushes.unreadable, flushes.touched) == (3, clock.wall())
        for writer in (one, other):
            writer.close()
        await until(lambda: not receiver.connections)


async def test_connections_are_bounded_and_end_with_the_port(clock):
    async with receiving(clock) as (_, receiver, address):
        kept = [await asyncio.open_connection(*address) for _ in range(CONNECTIONS)]
        await until(lambda: len(receiver.connections) == CONNECTIONS)
        reader, refused = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        refused.close()
        assert len(receiver.connections) == CONNECTIONS
    assert not receiver.connections
    for reader, writer in kept:
        assert await reader.read() == b""
        writer.close()


async def test_a_port_in_use(clock):
    async with receiving(clock) as (flushes, _, address):
        with pytest.raises(RelayError, match=r"RLY101 .*cannot listen on") as caught:
            await Receiver(flushes, clock).start(*address)
        assert caught.value.exit_code == ExitCode.BIND_OR_STATE


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_waited_for_is_seen(is_terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    progress = ChangingLine()
    for sentence in ("in 2 s", "in 2 s", "in 1 s"):
        progress.update(Phase.BEFORE, sentence)
    progress.update(Phase.WITHIN, "comparing")
    progress.end()
    said = capsys.readouterr().err
    changing = "\r\x1b[Kin 2 s\r\x1b[Kin 1 s\r\x1b[Kcomparing\r\x1b[K"
    assert said == (changing if is_terminal else "in 2 s\ncomparing\n")
