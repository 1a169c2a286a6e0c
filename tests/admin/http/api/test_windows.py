"""Windows as they close, over HTTP: what is sent, which clients may read, and what a slow reader costs."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from contextlib import asynccontextmanager

import aiohttp
import pytest

from relay.admin import subscribers
from relay.admin.http.api.windows import window_endpoints
from relay.admin.subscribers import SLOW, STOPPED, SUBSCRIBERS_MOST, WAITING_WINDOWS, WindowSubscribers
from relay.config.schema import WindowConfig
from relay.model import Point
from tests.support.admin_port import serving
from tests.support.inprocess import open_relay


def close(windows: WindowSubscribers, start: int, bodies: list[bytes]) -> None:
    points = [Point(body) for body in bodies]
    assert list(windows.publish(points, start)) == points


async def told(subscriber) -> list[int]:
    starts = []
    while window := await subscriber.next_window():
        starts.append(window.start)
    return starts


def test_without_subscribers_no_point_is_copied():
    points = [Point(b"{}")]
    windows = WindowSubscribers(60)
    assert windows.publish(points, 60) is points
    windows.unsubscribe(windows.subscribe(60))
    assert windows.publish(points, 60) is points


async def test_a_subscriber_gets_the_windows_that_close_after_it_subscribed():
    windows = WindowSubscribers(60)
    old, new = windows.subscribe(60), windows.subscribe(120)
    for start in (60, 120):
        close(windows, start, [b'{"metric":"a"}', b"{}"])
    windows.close()
    assert (await told(old), await told(new)) == ([60, 120], [120])
    assert (old.end, new.end) == (STOPPED, STOPPED)


async def test_a_subscriber_does_not_get_a_window_that_is_closing():
    windows = WindowSubscribers(60)
    first = windows.subscribe(60)
    points = windows.publish([Point(b"{}")], 60)
    second = windows.subscribe(120)
    assert list(points)
    windows.close()
    assert (await told(first), await told(second)) == ([60], [])


def test_subscribers_are_few():
    windows = WindowSubscribers(60)
    subscribers_now = [windows.subscribe(60) for _ in range(SUBSCRIBERS_MOST)]
    assert None not in subscribers_now
    assert windows.subscribe(60) is None
    windows.unsubscribe(subscribers_now[2])
    assert windows.subscribe(60) is not None


@pytest.mark.parametrize(("size", "bound"), [(1, 10**9), (1000, 2500)])
async def test_what_waits_for_a_slow_reader_is_bounded(monkeypatch, size, bound):
    monkeypatch.setattr(subscribers, "WAITING_BYTES", bound)
    windows = WindowSubscribers(60)
    subscriber = windows.subscribe(0)
    most = min(WAITING_WINDOWS, bound // size)
    for start in range(most):
        close(windows, start, [b"x" * size])
        assert subscriber.end == ""
    close(windows, most, [b"x" * size])
    close(windows, most + 1, [b"x" * size])
    assert (await told(subscriber), subscriber.end) == ([], SLOW)


async def test_a_single_window_may_be_of_any_size(monkeypatch):
    monkeypatch.setattr(subscribers, "WAITING_BYTES", 10)
    windows = WindowSubscribers(60)
    subscriber = windows.subscribe(0)
    close(windows, 60, [b"x" * 100])
    assert (await subscriber.next_window()).start == 60


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def read(lines, count: int) -> list[dict]:
    return [json.loads(await lines.readline()) for _ in range(count)]


async def test_closed_windows_are_streamed_with_their_points_as_sent(tmp_path):
    async with open_relay(tmp_path) as running, aiohttp.ClientSession() as session:
        host, port = running.relay.admin.bound
        answer = await session.get(f"http://{host}:{port}/api/v1/windows")
        [head] = await read(answer.content, 1)
        assert head.keys() == {"version", "seconds", "open"}
        assert (head["seconds"], head["open"]) == (1, running.relay.closer.open_id)
        await running.feed(b"hits:1|c\nhits:2|c\ntime:5|ms")
        await running.delivered("hits", 3)
        windows = [(await read(answer.content, 1))[0]]
        while not any(window["points"] for window in windows):
            windows += await read(answer.content, 1)
        assert windows[0]["start"] == head["open"]
        assert all(window["seconds"] == 1 for window in windows)
        streamed = [point for window in windows for point in window["points"]]
        assert sorted(point["metric"] for point in streamed) == ["hits", "time", "time.p95"]
        sent = [point for one in ("hits", "time", "time.p95") for point in running.emulator.points(one)]
        assert [point["values"] for point in sorted(streamed, key=lambda point: point["metric"])] == [
            point["values"] for point in sent
        ]
        reading = asyncio.create_task(answer.content.read())
        await running.stop()
        assert json.loads((await reading).splitlines()[-1]) == {"end": STOPPED}


async def test_only_this_machine_may_watch_and_only_a_few(tmp_path):
    async with open_relay(tmp_path, window=WindowConfig()) as running, aiohttp.ClientSession() as session:
        host, port = running.relay.admin.bound
        url = f"http://{host}:{port}/api/v1/windows"
        async with session.get(url, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        answers = [await session.get(url) for _ in range(SUBSCRIBERS_MOST)]
        assert [answer.status for answer in answers] == [200] * SUBSCRIBERS_MOST
        async with session.get(url) as answer:
            assert answer.status == 503
        answers[0].close()
        async with asyncio.timeout(5):  # long before a window closes
            while (answer := await session.get(url)).status == 503:
                answer.close()
                await asyncio.sleep(0.05)
        assert answer.status == 200
        for one in (*answers, answer):
            one.close()


async def test_fifty_thousand_points_do_not_block_the_loop():
    """A window of 9 MB, read as fast as another thread can, in steps of the loop's own CPU time."""
    windows, points = WindowSubscribers(60), 50_000
    body = b'{"metric":"%s"}' % (b"m" * 180)

    def read_window() -> int:
        with urllib.request.urlopen(url, timeout=20) as answer:
            json.loads(answer.readline())
            return len(json.loads(answer.readline())["points"])

    async with serve(windows) as url:
        reading = asyncio.create_task(asyncio.to_thread(read_window))
        while not len(windows):
            await asyncio.sleep(0.01)
        close(windows, 60, [body] * points)
        worst = 0.0
        while not reading.done():
            began = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - began)
        assert await reading == points
    assert worst < 0.02, f"{worst * 1000:.1f} ms"


async def test_a_client_that_does_not_read_is_disconnected(monkeypatch):
    monkeypatch.setattr("relay.admin.http.api.windows._STALL", 0.2)
    windows = WindowSubscribers(60)
    async with serve(windows) as url, aiohttp.ClientSession(read_bufsize=1024) as session:
        answer = await session.get(url)
        close(windows, 60, [b"x" * 1000] * 20_000)
        while len(windows):
            await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()
        answer.close()


async def test_a_slow_reader_gets_the_reason(monkeypatch):
    monkeypatch.setattr(subscribers, "WAITING_BYTES", 1000)
    windows = WindowSubscribers(60)
    async with serve(windows) as url, aiohttp.ClientSession() as session:
        answer = await session.get(url)
        for start in (60, 120):
            close(windows, start, [b"x" * 600])
        lines = (await answer.content.read()).splitlines()
        assert json.loads(lines[-1]) == {"end": SLOW}


@asynccontextmanager
async def serve(windows: WindowSubscribers):
    """Serve the route alone."""
    async with serving(window_endpoints(windows, lambda: 60)) as (host, port):
        yield f"http://{host}:{port}/api/v1/windows"
