"""Names are shown, and something is changed, for clients on this machine or with a token alone."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.admin.http.guard import is_loopback
from relay.admin.http.sessions import COOKIE_SECONDS, LINK_SECONDS, Sessions
from tests.support.admin_port import TOKEN, make_guard, serving
from tests.support.clock import VirtualClock
from tests.support.context import make_context


async def shown(*_):
    return NoParameters()


def endpoint(path, access, method="GET"):
    return Endpoint(
        path=path, summary="", handle=shown, parameters=NoParameters, access=access, answer=NoParameters, method=method
    )


ENDPOINTS = [
    endpoint("/open", Access.OPEN),
    endpoint("/shown", Access.LOCAL),
    endpoint("/changed", Access.TOKEN),
    endpoint("/changed", Access.TOKEN, method="POST"),
]


async def request(address, line: str, *headers: str) -> tuple[int, str]:
    """Return status and answer of one request with exactly these headers."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write("\r\n".join([f"{line} HTTP/1.1", *headers, "Connection: close", "", ""]).encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return int(answer.split()[1]), answer.decode()


async def ask(address, *headers: str) -> int:
    return (await request(address, "GET /shown", *headers))[0]


STRANGE = [
    "evil.com@127.0.0.1",
    "127.0.0.1%00.evil.com",
    "127.0.0.1/evil",
    "127.0.0.1?evil",
    "127.0.0.1#evil",
    "127.0.0.1:80:90",
    "127.0.0.1:evil",
    "127.0.0.1:",
    "127.0.0.1 evil.com",
    "127.0.0.1,evil.com",
    "user@localhost",
    "[::1]evil.com",
    "[::1%lo]",
    "[127.0.0.1]x",
    "::1",
    "",
]
FORWARDED = [
    "Forwarded: for=192.0.2.7",
    "X-Forwarded-For: 192.0.2.7",
    "x-forwarded-host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 192.0.2.7",
    "Via: 1.1 proxy",
    "X-Original-Forwarded-For: 192.0.2.7",
    "X-Client-IP: 127.0.0.1",
]
ORIGIN = "Origin: http://127.0.0.1:8126"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: 127.0.0.1:8126"], 200),
        (["Host: localhost"], 200),
        (["Host: [::1]:8126"], 200),
        (["Host: Relay.example:8126"], 200),
        (["Host: 127.0.0.1:8126", ORIGIN], 200),
        (["Host: 127.0.0.1:8126", "X-Request-Id: 7", "User-Agent: curl"], 200),
        *((["Host: " + host], 403) for host in STRANGE),
        *((["Host: 127.0.0.1:8126", header], 403) for header in FORWARDED),
        (["Host: evil.example"], 403),
        (["Host: relay.example.evil.example"], 403),
        (["Host: 10.0.0.1:8126"], 403),
        (["Host: 127.0.0.1:8126", "Origin: http://evil.example"], 403),
        (["Host: 127.0.0.1:8126", "Origin: null"], 403),
        (["Host: 127.0.0.1:8126", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image"], 403),
        (["Host: 127.0.0.1:8126", "Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: document"], 403),
        (["Host: 127.0.0.1:8126", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: image"], 200),
        (["Host: 127.0.0.1:8126", "Origin: http://127.0.0.1:3000"], 403),
        (["Host: 127.0.0.1:8126", ORIGIN, "Origin: http://evil.example"], 403),
    ],
)
async def test_only_local_requests_are_answered(headers, status):
    async with serving(ENDPOINTS, guard=make_guard(hosts=["relay.EXAMPLE"])) as address:
        assert await ask(address, *headers) == status


HOST = "Host: 127.0.0.1:8126"
BEARER = f"Authorization: Bearer {TOKEN}"


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: "192.0.2.7")


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /open", [], 200),
        ("GET /shown", [], 403),
        ("GET /shown", [BEARER], 200),
        ("GET /shown", [BEARER.replace("Bearer", "bearer"), "X-Forwarded-For: 192.0.2.8"], 200),
        ("GET /shown", [BEARER, "Origin: http://evil.example"], 403),
        ("GET /shown", ["Authorization: Basic dGVzdA=="], 403),
        ("GET /open", [BEARER + "x"], 200),
        ("GET /shown", [BEARER + "x"], 401),
        ("GET /shown", ["Authorization: Bearer \xff\xfe"], 401),
        ("GET /changed", [], 401),
        ("POST /changed", [BEARER], 200),
    ],
)
async def test_another_machine_needs_the_token(line, headers, status):
    async with serving(ENDPOINTS) as address:
        found, answer = await request(address, line, HOST, *headers)
    assert found == status
    if status > 400:
        assert "status --link" in answer
        assert "Bearer TOKEN" in answer
        assert "/state" not in answer, "a path is a setting"
        assert TOKEN not in answer


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /shown", [BEARER], 200),
        ("GET /shown", [BEARER[:-1]], 401),
        ("POST /changed", [BEARER], 200),
        ("POST /changed", [BEARER[:-1]], 401),
        ("POST /changed", [], 401),
        ("POST /changed", ["Origin: http://evil.example"], 401),
        ("POST /changed", ["Authorization: Bearer "], 401),
    ],
)
async def test_a_change_needs_the_token_on_this_machine_too(line, headers, status):
    async with serving(ENDPOINTS) as address:
        found, answer = await request(address, line, HOST, *headers)
    assert found == status
    if status == 401:
        assert "WWW-Authenticate: Bearer" in answer
        fix = json.loads(answer.partition("\r\n\r\n")[2])["error"]["fix"]
        assert "/state/admin-token" in fix or headers[:1] == ["Origin: http://evil.example"]


async def test_a_wrong_token_behind_a_proxy_is_not_told_the_path_of_the_right_one():
    async with serving(ENDPOINTS) as address:
        found, answer = await request(address, "GET /shown", HOST, BEARER + "x", "X-Forwarded-For: 192.0.2.8")
    assert found == 401
    assert "/state" not in answer, "a path is a setting"


@pytest.mark.parametrize("header", ["", "Authorization: Bearer ", "Authorization: Bearer x", BEARER])
async def test_without_a_token_nothing_can_be_changed(header):
    async with serving(ENDPOINTS, guard=make_guard(token="")) as address:
        found, answer = await request(address, "POST /changed", HOST, *([header] if header else []))
    assert found in (401, 403)
    assert header.endswith(("x", TOKEN)) or "this relay has no token" in answer


async def test_refusals_are_counted_and_wrong_tokens_and_changes_logged():
    context = make_context()
    with capture_logs() as lines:
        async with serving(ENDPOINTS, guard=make_guard(context=context)) as address:
            for header in (BEARER, BEARER + "x", BEARER + "y", "X-Forwarded-For: 192.0.2.8"):
                await request(address, "POST /changed", HOST, header)
            await request(address, "GET /open", HOST)
            await request(address, "GET /shown", HOST)
    assert context.ledger.admin_refused == 3
    peer = {"peer": "127.0.0.1"}
    assert lines == [
        {"event": "changed over the admin port", "log_level": "info", "by": "token", "action": "POST /changed", **peer},
        {"event": "admin token refused", "log_level": "warning", "why": "wrong token", **peer},
    ]


async def test_wrong_tokens_of_many_addresses_are_one_line(monkeypatch):
    peers = iter(f"2001:db8::{number:x}" for number in range(100))
    monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: next(peers))
    context = make_context()
    with capture_logs() as lines:
        async with serving(ENDPOINTS, guard=make_guard(context=context)) as address:
            for _ in range(10):
                assert (await request(address, "GET /shown", HOST, BEARER + "x"))[0] == 401
    assert len([line for line in lines if line["event"] == "admin token refused"]) == 1


class Browser:
    """The cookie of a link, made as the page makes it."""

    def __init__(self, guard):
        self.sessions = guard.sessions
        self.cookie = f"Cookie: a=b; {self.sessions.cookie_name}={self.sessions.use_link(self.sessions.make_link())}"


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /shown", [], 200),
        ("GET /shown", ["Origin: http://127.0.0.1:3000"], 403),
        ("POST /changed", ["Origin: http://127.0.0.1:8126"], 200),
        ("POST /changed", [], 403),
        ("POST /changed", ["Origin: null"], 403),
        ("POST /changed", ["Origin: http://127.0.0.1:3000"], 403),
        ("POST /changed", ["Origin: http://evil.example"], 403),
    ],
)
async def test_a_cookie_is_good_for_this_page_alone(line, headers, status):
    guard = make_guard()
    async with serving(ENDPOINTS, guard=guard) as address:
        assert (await request(address, line, HOST, Browser(guard).cookie, *headers))[0] == status
        wrong = Browser(guard).cookie[:-1]
        assert (await request(address, line, HOST, wrong, *headers))[0] in (401, 403)


def test_a_link_is_good_once_and_for_five_minutes():
    clock = VirtualClock()
    sessions = Sessions(clock)
    key = sessions.make_link()
    assert sessions.use_link(key + "x") == ""
    assert sessions.use_link(key)
    assert sessions.use_link(key) == ""
    key = sessions.make_link()
    clock.advance(LINK_SECONDS)
    assert sessions.use_link(key) == ""


def test_a_cookie_is_good_for_twelve_hours():
    clock = VirtualClock()
    sessions = Sessions(clock)
    cookie = sessions.use_link(sessions.make_link())
    clock.advance(COOKIE_SECONDS - 1)
    assert sessions.has_cookie(cookie)
    clock.advance(1)
    assert not sessions.has_cookie(cookie)
    assert not sessions.has_cookie("")


def test_links_and_cookies_are_few():
    sessions = Sessions(VirtualClock())
    links = [sessions.make_link() for _ in range(33)]
    assert sessions.use_link(links[0]) == ""
    cookies = [sessions.use_link(link) for link in links[1:]]
    assert all(map(sessions.has_cookie, cookies))
    cookies.append(sessions.use_link(sessions.make_link()))
    assert [sessions.has_cookie(cookie) for cookie in cookies] == [False] + [True] * 32


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "10.0.0.1", "::ffff:10.0.0.1", "::", "0.0.0.0", "localhost", "fe80::1%lo"])
def test_not_loopback(address):
    assert not is_loopback(address)
