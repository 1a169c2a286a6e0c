"""The sender pool against the emulator over real HTTP: every verdict, always with a balanced ledger of points."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import zlib

import msgspec
import pytest
import trustme
from aiohttp import web

from relay.delivery import transport as transport_module
from relay.delivery.dead_letters.format import LetterReader, letter_files
from relay.delivery.transport import FileTransport, HttpTransport, LineTransport
from relay.errors import TransportError
from relay.model import Reply
from relay.tools.emulator import Fault
from tests.support.context import window_record
from tests.support.pool import CLOCK, Paused, Setup, batches
from tests.support.raw_cloud import RawCloud
from tests.support.tools import tmpfs


@pytest.fixture
async def setup(tmp_path):
    async with Setup(tmp_path, minute=0.1) as made:
        yield made


async def test_everything_arrives_once(setup):
    await setup.send(203)
    await setup.settle()
    assert (setup.emulator.requests, len(setup.emulator.received), setup.emulator.duplicates()) == (41, 203, [])
    assert setup.ledger.points_delivered == 203
    assert setup.ledger.requests == {"200": 41}


@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "408", "reset", "lost", "cut", "garbage"])
async def test_a_batch_that_may_not_be_stored_is_sent_again(setup, kind):
    setup.emulator.add_fault(Fault.parse(f"{kind}:3"))
    await setup.send(50)
    await setup.settle()
    assert setup.ledger.points_delivered == 50
    assert {point["metric"] for point in setup.emulator.received} == {f"m{n}" for n in range(50)}
    assert setup.ledger.requests_ambiguous == (0 if kind == "503" else 3)


async def test_a_request_that_hangs_is_given_up_and_sent_again(setup):
    setup.emulator.add_fault(Fault.parse("hang:1"))
    await setup.send(5)
    await setup.settle()
    assert setup.ledger.requests == {"error": 1, "200": 1}


@pytest.mark.parametrize("shape", [1, 2, 3, 4])
async def test_only_the_refused_point_becomes_a_dead_letter_with_the_clouds_words(setup, shape):
    setup.emulator.shape = shape
    setup.emulator.add_fault(Fault.parse("partial:1"))
    await setup.send(15)
    await setup.settle()
    assert (setup.ledger.points_delivered, setup.ledger.points_refused, setup.ledger.dead_letters) == (14, 1, 1)
    [read] = LetterReader().read(letter_files(setup.directory))
    assert (read.letter.reason, read.letter.detail) == ("refused_point", "emulated refusal")
    assert read.metric not in {point["metric"] for point in setup.emulator.received}


async def test_the_history_has_each_request_as_it_was_sent_with_the_clouds_answer(setup):
    await setup.send(15, bad=frozenset({7}))
    await setup.settle()
    requests = {zlib.decompress(request.body): request for request in setup.history}
    assert {point["metric"] for body in requests for point in json.loads(body)["metricDataList"]} == {
        *(f"m{number}" for number in range(15) if number != 7),
        "m-7",
    }
    assert all(request.outcome == "accepted" and request.request_id for request in requests.values())
    [bad] = [request for body, request in requests.items() if b"m-7" in body]
    [(index, words)] = bad.refused.items()
    assert index == 2
    assert "illegal characters" in words


async def test_a_request_that_was_given_up_is_in_the_history(tmp_path):
    async with Setup(tmp_path, on_ambiguous="drop") as setup:
        setup.emulator.add_fault(Fault.parse("lost:1"))
        await setup.send(5)
        await setup.settle()
        [request] = setup.history
    assert (request.outcome, request.detail.partition(":")[0]) == ("dropped", "ambiguous")


async def test_the_log_names_a_refused_metric_the_clouds_words_and_where_they_all_are(setup, capsys):
    await setup.send(15, bad=frozenset({7}))
    await setup.settle()
    [told] = [line for line in capsys.readouterr().out.splitlines() if "RLY402" in line]
    assert "metric=m-7 " in told
    assert "illegal characters" in told
    assert "statsd-relay dead list" in told


async def test_the_log_names_a_metric_when_every_point_is_refused(tmp_path, capsys):
    async with Setup(tmp_path, minute=0.1, concurrency=1) as setup:
        setup.emulator.add_fault(Fault.parse("refused"))
        await setup.send(15, per_request=5)
        await setup.until(lambda: setup.pool._gate.refusal_breaker.is_open)
        setup.emulator.clear_faults()
        await setup.settle()
    [told] = [line for line in capsys.readouterr().out.splitlines() if "every point is refused" in line]
    assert "emulated refusal" in told
    assert "metric=m" in told


async def test_listed_points_that_were_not_sent_are_counted_and_logged(setup, capsys):
    body = b'{"result":{"success":false,"errMetricDataList":[%b]}}' % b",".join(
        b'{"errMetricData":{"metric":"%b"},"errDetail":"bad"}' % metric for metric in (b"m1", b"m1", b"foreign")
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with Setup(setup.directory / "raw", cloud=RawCloud(head + body)) as raw:
        await raw.send(5)
        await raw.settle()
        assert (raw.ledger.points_delivered, raw.ledger.points_refused) == (4, 1)
        assert raw.ledger.refusals_unmatched == 2
    assert "m1: bad" in capsys.readouterr().out


async def test_a_refusal_that_passes_costs_no_point(setup):
    setup.emulator.add_fault(Fault.parse("400:3"))
    await setup.send(50)
    await setup.settle()
    assert (setup.ledger.points_delivered, setup.ledger.points_refused) == (50, 0)


async def test_other_settings_give_what_was_refused_before_another_chance(setup):
    """One point of the quarantined batch was refused while the cloud refused everything; that counts no more."""
    setup.emulator.add_fault(Fault.parse("400:12"))
    await setup.send(50, per_request=50)
    await setup.only_quarantined_left()
    assert setup.spool.leased == 50
    await setup.pool.replace(settings=setup.settings)
    await setup.settle()
    assert (setup.ledger.points_delivered, setup.ledger.points_refused) == (50, 0)


@pytest.mark.parametrize(
    ("fault", "low", "high"),
    [
        (Fault("429", left=4, headers={"retry-after": "7"}), 7, 7.7),
        (Fault("429", left=4), 0.5, 1),
        (Fault("401", left=4), 30, 60),
        (Fault("403", left=4), 30, 60),
        (Fault("404", left=4), 30, 60),
        (Fault("302", left=4, headers={"location": "http://127.0.0.1:1/"}), 30, 60),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_all_senders_pause_and_no_point_is_lost(tmp_path, fault, low, high):
    async with Setup(tmp_path, clock=Paused()) as setup:
        setup.emulator.add_fault(fault)
        began = setup.clock.monotonic()
        await setup.send(20)
        await setup.settle()
        assert setup.ledger.points_delivered == 20
        assert low <= setup.clock.monotonic() - began <= high + 60  # virtual time flies while an answer comes in


async def test_a_wrong_secret_loses_nothing(tmp_path):
    async with Setup(tmp_path, secret="wrong") as setup:
        await setup.send(20)
        while not setup.ledger.requests["401"]:
            await asyncio.sleep(0.01)
        assert setup.ledger.points_delivered == 0
        assert setup.balanced()
    assert setup.spool.points == 20


async def test_the_cloud_is_down_and_comes_back(tmp_path):
    async with Setup(tmp_path, minute=0.2) as setup:
        url = setup.url
        await setup.emulator.stop()
        setup.ledger.windows.add(window_record(batches(1)[0], points=30))
        await setup.send(30)
        while setup.ledger.requests["error"] < 6:
            await asyncio.sleep(0.01)
        assert (setup.ledger.requests_ambiguous, setup.balanced()) == (0, True)
        assert setup.ledger.windows.last.first_answer_at == 0, "a request without an answer"
        await setup.emulator.start(port=int(url.rpartition(":")[2]))
        await setup.settle()
        assert len(setup.emulator.received) == 30
        assert setup.emulator.duplicates() == []
        assert setup.ledger.windows.last.first_answer_at > 0


async def test_drain_puts_back_the_batches_in_flight(tmp_path):
    async with Setup(tmp_path) as setup:
        setup.emulator.add_fault(Fault.parse("hang"))
        await setup.send(10)
        while not setup.pool.requests_in_flight:
            await asyncio.sleep(0.005)
        await setup.pool.drain(until=0.0)
        assert (setup.spool.points, setup.pool.in_flight, setup.pool.requests_in_flight) == (10, 0, 0)
        assert setup.balanced()


async def test_lines_instead_of_http(tmp_path):
    with (tmp_path / "out").open("ab") as stream:
        async with Setup(tmp_path, transport=LineTransport(stream.fileno())) as setup:
            await setup.send(10)
            await setup.settle()
    bodies = [msgspec.json.decode(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert sum(len(body["metricDataList"]) for body in bodies) == 10


async def test_a_request_that_was_never_sent_is_not_ambiguous():
    transport = HttpTransport(timeout=1, connect_timeout=0.5, concurrency=1, ca_file="", proxy="")
    with pytest.raises(TransportError) as caught:
        await transport.post("http://127.0.0.1:1/", {}, b"")
    assert not caught.value.ambiguous
    assert "Connection refused" in caught.value.detail
    await transport.close()
    assert isinstance(Reply(status=200, headers={}, body=b""), Reply)


async def test_https_needs_a_certificate_that_is_trusted(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="over tls")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    settings = {"timeout": 5, "connect_timeout": 5, "concurrency": 1, "proxy": ""}
    trusting = HttpTransport(**settings, ca_file=str(tmp_path / "ca.pem"))
    wary = HttpTransport(**settings, ca_file="")
    assert (await trusting.post(url, {}, b"x")).body == b"over tls"
    with pytest.raises(TransportError, match="the TLS handshake failed: unable to get local issuer") as caught:
        await wary.post(url, {}, b"x")
    assert not caught.value.ambiguous
    await trusting.close()
    await wary.close()
    await runner.cleanup()


async def test_a_pool_that_finishes_waits_for_its_answers_and_sends_nothing_new(tmp_path):
    async with Setup(tmp_path) as setup:
        setup.emulator.latency = 0.3
        await setup.send(100)
        while setup.pool.requests_in_flight < 4:
            await asyncio.sleep(0.005)
        await setup.pool.finish(until=CLOCK.monotonic() + 10)
        assert setup.emulator.requests == 4
        assert setup.ledger.points_delivered == 20
        assert (setup.spool.points, setup.spool.leased) == (80, 0)
        assert setup.balanced()


async def test_a_pool_that_finishes_does_not_wait_for_ever(tmp_path):
    async with Setup(tmp_path) as setup:
        setup.emulator.add_fault(Fault("hang"))
        await setup.send(100)
        while setup.pool.requests_in_flight < 4:
            await asyncio.sleep(0.005)
        await setup.pool.finish(until=CLOCK.monotonic() + 0.1)
        assert setup.spool.points == 100
        assert setup.balanced()


async def test_a_newest_batch_that_is_never_answered_readably_does_not_keep_the_others_waiting(setup):
    """It opens the breaker, which probes with the newest batch; other batches must be probes, too."""
    setup.emulator.unreadable = {"m4"}
    await setup.send(5)
    await setup.until(lambda: setup.ledger.requests["200"] > 8)
    await setup.send(5, window=int(CLOCK.wall()) // 60 * 60 - 60, first=10)
    await setup.settle()
    assert (setup.ledger.points_delivered, setup.ledger.points_refused) == (5, 5)


async def test_a_line_cut_by_a_full_disk_is_followed_by_a_whole_one_and_a_stop_does_not_fail(tmp_path):
    """No line is buffered, so the stop writes nothing that could fail."""
    with tmpfs(tmp_path / "disk", size="16k") as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 12288)
        descriptor = os.open(disk / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        transport = LineTransport(descriptor, closes=True)
        body = b'"%b"' % (b"a" * 6000)
        with pytest.raises(TransportError):
            await transport.post("", {}, body)
        filler.unlink()
        await transport.post("", {}, body)
        await transport.close()
        assert body in (disk / "out").read_bytes().split(b"\n")


async def test_a_descriptor_that_refuses_writes_is_closed_silently():
    transport = LineTransport(os.open("/dev/full", os.O_WRONLY), closes=True)
    with pytest.raises(TransportError):
        await transport.post("", {}, b"body")
    await transport.close()


@pytest.mark.parametrize("harm", ["removed", "renamed", "directory", "pipe"])
async def test_no_request_is_written_to_a_file_that_is_not_at_its_path(tmp_path, harm):
    """A request written to a removed file would be lost; one written to a pipe without a reader would hang."""
    path, away = tmp_path / "requests", tmp_path / "away"
    transport = FileTransport(str(path))
    await transport.post("", {}, b"1")
    path.rename(away)
    if harm in ("directory", "pipe"):
        (os.mkdir if harm == "directory" else os.mkfifo)(path)
        for _ in range(2):
            with pytest.raises(TransportError, match="cannot be used") as caught:
                await transport.post("", {}, b"2")
            assert not caught.value.ambiguous
        (path.rmdir if harm == "directory" else path.unlink)()
    await transport.post("", {}, b"2")
    await transport.close()
    assert (away.read_bytes(), path.read_bytes()) == (b"1\n", b"2\n")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_of_requests_that_was_usable_once_is_opened_when_it_can_be(tmp_path):
    path = tmp_path / "folder" / "requests"
    with pytest.raises(FileNotFoundError):
        FileTransport(str(path))
    transport = FileTransport(str(path), is_lazy=True)
    with pytest.raises(TransportError, match="No such file or directory"):
        await transport.post("", {}, b"1")
    path.parent.mkdir()
    await transport.post("", {}, b"1")
    await transport.close()
    assert path.read_bytes() == b"1\n"


async def test_certificates_that_became_a_pipe_keep_one_thread_waiting(tmp_path, monkeypatch):
    """With a thread for each request, the default pool would have none left for the spool."""
    monkeypatch.setattr("relay.delivery.transport._CA_SECONDS", 0.05)
    os.mkfifo(tmp_path / "ca.pem")
    transport = HttpTransport(
        timeout=1, connect_timeout=1, concurrency=8, ca_file=str(tmp_path / "ca.pem"), proxy="", is_lazy=True
    )
    reading = []
    real = transport_module.read_bounded

    def read(*arguments, **options):
        reading.append(1)
        try:
            assert len(reading) == 1
            return real(*arguments, **options)
        finally:
            reading.pop()

    monkeypatch.setattr(transport_module, "read_bounded", read)
    answers = await asyncio.gather(*(transport.post("http://x", {}, b"") for _ in range(8)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {TransportError}
    await transport.close()
