"""Every kind of socket at once into one relay: the total is the sum."""

from __future__ import annotations

import asyncio
import socket

from relay.config.schema import ListenConfig
from tests.support import hotpath
from tests.support.inprocess import open_relay


def send(address, kind: socket.SocketKind, *parts: bytes) -> None:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, kind) as sock:
        sock.connect(address)
        for part in parts:
            sock.sendall(part)


async def test_all_of_them_at_once(tmp_path):
    paths = {form: str(tmp_path / form) for form in ("dgram", "stream", "datadog")}
    listen = ListenConfig(
        udp=["127.0.0.1:0"],
        tcp=["127.0.0.1:0"],
        unix=[f"{form}:{path}" for form, path in paths.items()],
        hotpath=hotpath.chosen,
    )
    async with open_relay(tmp_path, listen=listen) as running:
        relay = running.relay
        tcp = next(stream.bound for stream in relay.streams.listeners if stream.label.startswith("tcp://"))
        frame = b"\x06\x00\x00\x00hits:1\x08\x00\x00\x00hits:1|c"
        await running.feed(*[b"hits:1|c"] * 10)
        await asyncio.to_thread(send, tcp, socket.SOCK_STREAM, *[b"hits:1|c\nhi", b"ts:1|c\n"] * 10)
        await asyncio.to_thread(send, paths["dgram"], socket.SOCK_DGRAM, *[b"hits:1|c\nhits:1|c"] * 10)
        await asyncio.to_thread(send, paths["stream"], socket.SOCK_STREAM, *[b"hits:1|c\n"] * 10)
        await asyncio.to_thread(send, paths["datadog"], socket.SOCK_STREAM, *[frame] * 10)
        await running.delivered("hits", 70)
        assert running.emulator.total("hits") == 70
        assert relay.hotpath.tally().rejected == {"bad_type": 10}
        labels = [listener.label for listener in (*relay.listeners, *relay.streams.listeners)]
        assert [label.partition(":")[0] for label in labels] == [
            "udp",
            "unix-dgram",
            "tcp",
            "unix-stream",
            "unix-datadog",
        ]
        assert relay.status.ready() == (True, "listening on 5 sockets")
    assert not any((tmp_path / form).exists() for form in paths)


async def test_blanks_at_a_lines_end_mean_nothing_on_any_of_them(tmp_path):
    paths = {form: str(tmp_path / form) for form in ("dgram", "stream", "datadog")}
    unix = [f"{form}:{path}" for form, path in paths.items()]
    listen = ListenConfig(udp=["127.0.0.1:0"], tcp=["127.0.0.1:0"], unix=unix, hotpath=hotpath.chosen)
    line = b"hits:1|c|#k:v \t\r"
    async with open_relay(tmp_path, listen=listen) as running:
        relay = running.relay
        tcp = next(stream.bound for stream in relay.streams.listeners if stream.label.startswith("tcp://"))
        await running.feed(line, b" \t", b"hits:1|c|#k:v ")
        await asyncio.to_thread(send, tcp, socket.SOCK_STREAM, line + b"\n \r\n", line)
        await asyncio.to_thread(send, paths["dgram"], socket.SOCK_DGRAM, line, line + b"\n")
        await asyncio.to_thread(send, paths["stream"], socket.SOCK_STREAM, line + b"\n", line)
        await asyncio.to_thread(send, paths["datadog"], socket.SOCK_STREAM, len(line).to_bytes(4, "little") + line)
        await running.delivered("hits", 9)
        assert running.emulator.total("hits") == 9
        assert relay.hotpath.tally().rejected == {}
        assert running.emulator.total("hits", k="v") == 9
