"""Any bytes as an answer: no sender ends, no point is lost, and a bug of the relay costs no batch."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.delivery.sender.outcomes import Outcomes
from relay.delivery.transport import HttpTransport
from relay.errors import TransportError
from relay.jdcloud.cloud import JDCloud
from tests.jdcloud.test_classify import SAYS_NOTHING, bodies, headers_
from tests.support.pool import CLOCK, Paused, Setup
from tests.support.raw_cloud import STORED, TAKEN, RawCloud

SAYS_STORED = re.compile(rb'"success"\s*:\s*true')
"""In bytes that may call points stored: a search finds other such answers than `STORED`."""


def answer(status: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *(b"%b: %b" % header for header in headers), b"", body))


FAILURE = b'{"requestId":"r","result":{"success":false,"errMetricDataList":[{"errMetricData":"{}","errDetail":"d"}]}}'
names = st.sampled_from([
    *(b"Retry-After", b"Date", b"Content-Length", b"Content-Encoding", b"Transfer-Encoding", b"Connection"),
    *(b"Location", b"Set-Cookie", b"Content-Type", b"Upgrade", b"Link", b"X"),
])  # fmt: skip
values = st.sampled_from(
    [b"0", b"-1", b"9" * 30, b"gzip", b"deflate", b"br", b"chunked", b"close", b"h2c", b"\xff\x80"]
)
values |= st.binary(max_size=20)
statuses = st.integers(0, 1000).map(b"%d X".__mod__) | st.sampled_from([b"", b"200", b"OK", b"-1 ?", b"9999 X"])
built = st.builds(
    lambda status, headers, more, body: answer(
        status, [*headers, *((name.encode(), value.encode()) for name, value in more.items())], body
    ),
    statuses,
    st.lists(st.tuples(names, values), max_size=4),
    headers_,
    bodies | st.sampled_from([STORED, FAILURE]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Mutations of a valid answer."""
    raw = bytearray(draw(st.sampled_from([TAKEN, answer(b"429 X", [(b"Retry-After", b"1")], b"{}"), TAKEN * 3])))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


interim = st.sampled_from([b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n", b"HTTP/1.1 101 S\r\n\r\n"])
raw_answers = built | mutated() | st.binary(max_size=60) | st.builds(bytes.__add__, interim, built | mutated())


async def survive(directory: Path, raw: bytes) -> None:
    """Answer two requests with these bytes, and accept the requests that follow."""
    cloud = RawCloud(raw, raw)
    transport = HttpTransport(timeout=2, connect_timeout=1, concurrency=4, ca_file="", proxy="")
    async with Setup(directory, cloud=cloud, clock=Paused(), transport=transport) as setup:
        await setup.send(5)
        await setup.until(lambda: not cloud.answers or not setup.spool.points + setup.spool.leased)
        await setup.send(5, first=5, window=int(CLOCK.wall()) // 60 * 60 - 120)
        await setup.settle()
        assert not setup.running.done(), "a sender has ended"
        assert setup.ledger.requests["internal_error"] == 0
        if not SAYS_STORED.search(raw):
            stored = {point["metric"] for body in cloud.taken for point in json.loads(body)["metricDataList"]}
            assert (len(stored), setup.ledger.points_delivered) == (10, 10), "delivered is what the cloud called so"


@settings(max_examples=100)
@example(answer(b"429 X", [(b"Retry-After", b"Wed, 21 Oct 99999999999999999999 07:28:00 GMT")], b""))
@example(answer(b"400 X", [], b'{"error":{"message":' + b"[" * 1000 + b"]" * 1000 + b"}}"))
@given(raw_answers)
def test_no_answer_ends_a_sender_and_every_point_is_accounted_for(raw):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(asyncio.wait_for(survive(Path(directory), raw), 30))


@pytest.mark.parametrize("body", SAYS_NOTHING, ids=str)
async def test_a_batch_without_a_final_answer_is_kept_and_sent_again(body, tmp_path):
    await survive(tmp_path, answer(b"200 OK", [(b"Content-Length", b"%d" % len(body))], body))


FAILING = [
    (JDCloud, "request_headers"),
    (JDCloud, "classify"),
    (HttpTransport, "post"),
    (Outcomes, "record"),
    (JDCloud, "part"),
]


@pytest.mark.parametrize("on_ambiguous", ["resend", "drop"])
@pytest.mark.parametrize(("owner", "name"), FAILING, ids=lambda value: getattr(value, "__name__", value))
async def test_a_mistake_of_the_relay_ends_no_sender_and_costs_no_batch(
    owner, name, on_ambiguous, tmp_path, monkeypatch, capsys
):
    """The text of an exception is not shown: it may hold what was about to be signed."""
    cloud = RawCloud(*[answer(b"413 X", [], b"{}")] * (name == "part"))
    failures = iter(range(3))
    works = getattr(owner, name)

    def fail(*args, **options):
        if next(failures, None) is not None:
            raise RuntimeError("canary-secret")
        return works(*args, **options)

    monkeypatch.setattr(owner, name, fail)
    async with Setup(tmp_path, cloud=cloud, minute=0.05, on_ambiguous=on_ambiguous) as setup:
        await setup.send(10)
        await setup.settle()
        assert not setup.running.done()
        assert setup.ledger.requests["internal_error"] == (1 if name == "part" else 3)
        assert setup.ledger.points_delivered == 10
        assert setup.pool.requests_in_flight == 0
    told = capsys.readouterr().out
    assert "internal_error" in told
    assert "RuntimeError in " in told
    assert "delivery/sender/pool.py:" in told
    assert "canary-secret" not in told


async def test_credentials_that_cannot_be_read_again_end_no_sender(tmp_path):
    """For any content of a credentials file, read while the cloud refuses the credentials in force."""
    refusal = answer(b"401 X", [(b"Content-Length", b"2")], b"{}")

    def renew() -> None:
        raise ValueError("canary-secret")

    async with Setup(tmp_path, cloud=RawCloud(refusal), clock=Paused(), newer_signer=renew) as setup:
        await setup.send(5)
        await setup.settle()
        assert not setup.running.done()
        assert (setup.ledger.points_delivered, setup.ledger.requests["internal_error"] > 0) == (5, True)


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500,
        b"HTTP/1.1 100 Continue\r\nLink: </>; rel=preload\r\n\r\n" * 500,
        b"HTTP/1.1 103 E\r\n" + b"X-Long: %b\r\n" % (b"x" * 8000) * 20 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 500,
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + b"x" * 10_000,
    ],
    ids=["103", "100", "long", "200", "101"],
)
async def test_answers_before_the_answer_are_bounded(endless):
    cloud = RawCloud(b"")
    cloud.endless = endless
    url = await cloud.start()
    transport = HttpTransport(timeout=20, connect_timeout=5, concurrency=1, ca_file="", proxy="")
    began = time.monotonic()
    with suppress(TransportError):
        reply = await transport.post(url, {}, b"{}")
        assert reply.body == b""
    await transport.close()
    await cloud.stop()
    assert time.monotonic() - began < 15, "the bound ended it, not the time limit"
    assert cloud.sent < 30_000_000


@pytest.mark.parametrize("more", [TAKEN, TAKEN[:20], b"\r\n"], ids=["an answer", "a part of one", "a line"])
async def test_bytes_after_an_answer_do_not_answer_the_next_request(more, tmp_path):
    """On a connection that waits for its next request."""
    taken, served, release = [], [], asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            taken.append(await reader.readexactly(size))
            if len(taken) > 1:
                await release.wait()
            writer.write(TAKEN)
            await asyncio.sleep(0.05)
            writer.write(more)
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = "http://{}:{}/".format(*server.sockets[0].getsockname())
    transport = HttpTransport(timeout=10, connect_timeout=5, concurrency=1, ca_file="", proxy="")
    await transport.post(url, {}, b"one")
    await asyncio.sleep(0.2)
    second = asyncio.create_task(transport.post(url, {}, b"two"))
    await asyncio.sleep(0.2)
    assert not second.done(), "nothing has answered it"
    release.set()
    assert (await second).body == STORED
    assert taken == [b"one", b"two"]
    await transport.close()
    server.close()
    await asyncio.gather(*served)
