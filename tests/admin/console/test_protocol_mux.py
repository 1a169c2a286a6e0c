"""HTTP and the text console on one port: real sockets, on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.admin.console import protocol_mux as module
from relay.admin.console.protocol_mux import ActiveRequests, ProtocolMux
from relay.admin.console.session import ConsoleSession, SessionTimeouts
from relay.listener.bind import bind_tcp

QUICK = SessionTimeouts(pause=0.05, idle=5.0, reading=5.0)
PATIENT = SessionTimeouts(pause=60.0, idle=60.0, reading=60.0)
"""No timeout of these ends on a busy machine."""
LONG = "x" * 1000 + "\n"


def on_both_loops(scenario):
    """Make a test of a coroutine function without arguments."""

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def test(loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(scenario(), 30))

    test.__name__ = scenario.__name__
    return test


async def connect(port: ProtocolMux) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*port.bound)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes until the end or a reset."""
    found = b""
    with suppress(ConnectionResetError):
        while chunk := await asyncio.wait_for(reader.read(1 << 20), 10):
            found += chunk
    return found


async def leave(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


class Echo:
    """A console that replies with the command; the reply to `long` never ends."""

    async def answer(self, command: str, *, is_local: bool):
        yield f"<{command}{'' if is_local else ' from afar'}>"
        while command == "long":
            yield LONG


def slow_handler(waiting: list[asyncio.Event]):
    """Answer when the test allows it."""

    async def slow(_: web.Request) -> web.Response:
        waiting.append(asyncio.Event())
        await waiting[-1].wait()
        return web.Response(text="hello ")

    return slow


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {await request.text()}")


@asynccontextmanager
async def serving(timeouts: SessionTimeouts = QUICK, *, host: str = "127.0.0.1", **settings):
    active = ActiveRequests()
    app = web.Application(client_max_size=1024, middlewares=[active.middleware()])
    slow: list[asyncio.Event] = []
    app.router.add_route("*", "/", hello)
    app.router.add_get("/slow", slow_handler(slow))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    port = ProtocolMux(http=runner.server, active=active, console=Echo(), timeouts=timeouts, **settings)
    sock = bind_tcp(host, 0)
    port.bound, port.slow = await port.open(sock), slow
    sock.close()
    try:
        yield port
    finally:
        await port.close()
        await runner.cleanup()


async def talk(port: ProtocolMux, *pieces: bytes, half_close: bool = True, pause: float = 0.0) -> bytes:
    """Send pieces; return all bytes until the end."""
    reader, writer = await connect(port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)
    if half_close:
        writer.write_eof()
    try:
        return await rest_of(reader)
    finally:
        await leave(writer)


def one_by_one(text: bytes) -> list[bytes]:
    return [text[index : index + 1] for index in range(len(text))]


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n."
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@on_both_loops
async def test_http_is_served():
    async with serving() as port:
        assert (await talk(port, GET, half_close=False)).startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await talk(port, *one_by_one(GET), half_close=False)).endswith(b"\r\n\r\nhello ")
        old = await talk(port, b"GET / HTTP/1.0\r\n\r\n", half_close=False)
        assert old.startswith(b"HTTP/1.0 200 OK\r\n")
        head = await talk(port, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", half_close=False)
        assert head.endswith(b"\r\n\r\n")
        assert b"Content-Length: 6\r\n" in head
        twice = await talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", GET, half_close=False, pause=0.05)
        assert twice.count(b"HTTP/1.1 200 OK") == 2
        body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nConnection: close\r\n\r\nhealth\n"
        assert (await talk(port, body, half_close=False)).endswith(b"hello health\n")


@on_both_loops
async def test_malformed_http_is_answered_by_aiohttp():
    async with serving() as port:
        assert b" 404 Not Found" in await talk(port, GET.replace(b"/ ", b"/nothing "), half_close=False)
        assert b" 400 Bad Request" in await talk(port, b"GET nonsense\r\n\r\n", half_close=False)
        large = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
        assert b" 413 " in await talk(port, large, half_close=False)


@on_both_loops
async def test_commands_in_any_pieces():
    async with serving(PATIENT) as port:
        assert await talk(port, b"health\n") == b"<health>"
        assert await talk(port, *one_by_one(b"stats\r\n")) == b"<stats>"
        assert await talk(port, b"help\nsta", b"ts\r\n", pause=0.01) == b"<help><stats>"
        assert await talk(port, b"health") == b"<health>"
        assert await talk(port, b"GE") == b"<GE>"
        assert await talk(port, b"HEALTH\nGET / now\r\n") == b"<HEALTH><GET / now>"
        assert await talk(port, b"help\nquit\nstats\n", half_close=False) == b"<help>"
        assert await talk(port) == b""


@on_both_loops
async def test_input_from_a_browser_ends_the_session_before_any_command():
    """A method that a page chooses, with a body; and a TLS greeting with a ticket that the page's server chooses."""
    async with serving() as port:
        method = b"delcounters / HTTP/1.1\r\nHost: x\r\n\r\nhealth down\n"
        assert await talk(port, method, half_close=False) == b""
        assert await talk(port, method[:20], method[20:], half_close=False) == b""
        greeting = b"\x16\x03\x01\x02\x00\x01\x00 ticket\nhealth down\n"
        assert b"health" not in await talk(port, greeting, half_close=False)


@on_both_loops
async def test_a_local_client_is_known_by_its_address():
    async with serving(host="::1") as port:
        assert await talk(port, b"counters\n") == b"<counters>"
    before, module.peer_address = module.peer_address, lambda _: "192.0.2.7"
    try:
        async with serving() as port:
            assert await talk(port, b"counters\n") == b"<counters from afar>"
    finally:
        module.peer_address = before


@on_both_loops
async def test_an_unfinished_line_is_a_command_after_a_pause():
    async with serving() as port:
        reader, writer = await connect(port)
        for command in (b"health", b"stats", b"help"):
            writer.write(command)
            assert await reader.readexactly(len(command) + 2) == b"<%s>" % command
        writer.write(b"quit")
        assert await reader.read() == b""
        await leave(writer)


@on_both_loops
async def test_silent_endless_and_idle_connections_are_closed():
    async with serving(QUICK._replace(idle=0.2), silent=0.2) as port:
        assert await talk(port, half_close=False) == b""
        assert await talk(port, b"G", half_close=False) == b""
        while await talk(port, b"help\n", half_close=False) != b"<help>":
            pass  # a busy machine: closed before the first byte arrived
    async with serving() as port:
        assert await talk(port, b"y" * 65_537, half_close=False) == b""
        assert await talk(port, b"y" * 65_535) == b"<" + b"y" * 65_535 + b">"


@on_both_loops
async def test_a_client_that_does_not_read_is_cut_off_and_blocks_no_other():
    async with serving(QUICK._replace(reading=0.3)) as port:
        reader, writer = await connect(port)
        writer.write(b"long\n")
        for _ in range(200):
            assert await talk(port, b"help\n") == b"<help>"
            if not port._sessions:
                break
            await asyncio.sleep(0.01)
        assert not port._sessions
        assert len(await rest_of(reader)) < 10_000_000
        await leave(writer)


@on_both_loops
async def test_a_disconnect_in_the_middle_of_a_reply_is_no_error():
    """After a reset uvloop refuses a write with an error that is not a ConnectionError."""
    async with serving() as port:
        reader, writer = await connect(port)
        _, other = await connect(port)
        gone = ConsoleSession(reader, writer, answer=lambda _: Echo().answer("long", is_local=True), timeouts=QUICK)
        other.write(b"help\n")
        reader.feed_data(b"long\n")
        writer.transport.abort()
        await asyncio.sleep(0.05)
        await asyncio.wait_for(gone.run(), 10)
        await leave(other)


@on_both_loops
async def test_many_commands_at_once_block_no_other_client():
    async with serving() as port:
        flood = asyncio.create_task(talk(port, b"help\n" * 10_000))
        turns = 0
        while not flood.done():
            await asyncio.sleep(0)
            turns += 1
        assert flood.result() == b"<help>" * 10_000
        assert turns > 5_000


@on_both_loops
async def test_at_the_bound_the_longest_idle_connection_is_closed():
    async with serving() as port:
        sessions = [await connect(port) for _ in range(module._SESSIONS_MOST)]
        for reader, writer in [*sessions, sessions[0]]:
            writer.write(b"help\n")
            assert await reader.readexactly(6) == b"<help>"
        assert await talk(port, b"stats\n") == b"<stats>"
        assert await rest_of(sessions[1][0]) == b""
        silent = [await connect(port) for _ in range(module._SILENT_MOST)]
        assert await talk(port, GET, half_close=False) != b""
        assert await rest_of(silent[0][0]) == b""
        sessions[0][1].write(b"stats\n")
        assert await sessions[0][0].readexactly(7) == b"<stats>"
        await leave(*(writer for _, writer in sessions + silent))


@on_both_loops
async def test_unfinished_requests_keep_no_client_out():
    before, module._REQUESTS_MOST = module._REQUESTS_MOST, 3
    try:
        async with serving() as port:
            (first, one), (_, other) = await connect(port), await connect(port)
            one.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            await asyncio.sleep(0.01)
            other.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n.")
            await asyncio.sleep(0.01)
            for _ in range(5):
                assert (await talk(port, GET, half_close=False)).endswith(b"hello ")
            others = [await connect(port) for _ in range(5)]
            for _, writer in others:
                writer.write(b"GET ")
            assert await rest_of(first) == b""
            assert (await talk(port, GET, half_close=False)).endswith(b"hello ")
            await leave(one, other, *(writer for _, writer in others))
    finally:
        module._REQUESTS_MOST = before


@on_both_loops
async def test_requests_that_are_being_answered_are_bounded():
    before, module._REQUESTS_MOST = module._REQUESTS_MOST, 3
    try:
        async with serving() as port:
            kept = [await connect(port) for _ in range(module._REQUESTS_MOST)]
            for _, writer in kept:
                writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            while len(port.slow) < len(kept):
                await asyncio.sleep(0.01)
            assert await talk(port, GET, half_close=False) == b""
            assert await talk(port, b"help\n") == b"<help>"
            for event in port.slow:
                event.set()
            for reader, _ in kept:
                assert await reader.readuntil(b"hello ")
            await leave(*(writer for _, writer in kept))
    finally:
        module._REQUESTS_MOST = before


@on_both_loops
async def test_requests_without_their_body_keep_no_client_out():
    """Each new one replaces the oldest; those that stay get an answer that they took too long."""
    async with serving() as port:
        unfinished = [await connect(port) for _ in range(module._REQUESTS_MOST + 14)]
        for _, writer in unfinished:
            writer.write(POST)
        await asyncio.sleep(0.1)
        for _ in range(5):
            assert (await talk(port, GET, half_close=False)).endswith(b"hello ")
        assert await talk(port, b"help\n") == b"<help>"
        assert await rest_of(unfinished[0][0]) == b"", "the oldest is closed"
        await leave(*(writer for _, writer in unfinished))


@on_both_loops
async def test_a_body_has_a_time_limit():
    before, module._BODY_SECONDS = module._BODY_SECONDS, 0.05
    try:
        async with serving() as port:
            reader, writer = await connect(port)
            writer.write(POST)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
            await leave(writer)
    finally:
        module._BODY_SECONDS = before


@on_both_loops
async def test_a_port_with_few_connections_accepts_few_of_each_kind():
    async with serving(most=12) as port:
        silent = [await connect(port) for _ in range(20)]
        requests = [await connect(port) for _ in range(20)]
        for _, writer in requests:
            writer.write(POST)
        await asyncio.sleep(0.1)
        assert (await talk(port, GET, half_close=False)).endswith(b"hello ")
        assert await talk(port, b"help\n") == b"<help>"
        kept = len(port._silent) + len(port._http.connections)
        assert kept <= 12
        await leave(*(writer for _, writer in silent + requests))


@on_both_loops
async def test_a_stop_ends_all_kinds_at_once():
    async with serving() as port:
        opened = [await connect(port) for _ in range(4)]
        opened[1][1].write(b"help\n")
        assert await opened[1][0].readexactly(6) == b"<help>"
        opened[2][1].write(b"long\n")
        await opened[2][0].readexactly(100_000)
        opened[3][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await opened[3][0].readuntil(b"hello ")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2
    assert not port._silent
    assert not port._sessions
    for reader, writer in opened:
        await rest_of(reader)
        await leave(writer)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*port.bound)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_any_input_is_answered_or_ended_and_harms_no_other_client(loop):
    """I6: after random bytes in random pieces the port answers the next client."""
    texts = st.one_of(
        st.binary(max_size=200),
        st.builds(
            bytes.__add__,
            st.sampled_from([b"GET ", b"POST ", b"HEAD / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"]),
            st.binary(max_size=80),
        ),
        st.builds(
            b"\n".join, st.lists(st.sampled_from([b"help", b"stats", b"delcounters a.*", b"\xff", b""]), max_size=5)
        ),
    )

    with asyncio.Runner(loop_factory=loop) as runner:
        context = serving(QUICK._replace(idle=0.3), silent=0.3)
        port = runner.run(context.__aenter__())

        async def one(text: bytes, cut: int) -> None:
            with suppress(ConnectionError):
                await talk(port, text[:cut], text[cut:])
            # On a busy machine the port may close a client before its first byte arrives: the next one is answered.
            while await talk(port, b"health\n") != b"<health>":
                pass

        @settings(max_examples=100)
        @given(texts, st.integers(0, 200))
        @example(b"\x16\x03\x01\x02\x00\x01", 1)
        @example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 3)
        def strange(text, cut):
            runner.run(asyncio.wait_for(one(text, cut), 20))

        strange()
        runner.run(context.__aexit__(None, None, None))
