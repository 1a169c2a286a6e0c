"""The page over HTTP: what each client sees, and how a link becomes a cookie."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from contextlib import closing
from http.cookies import SimpleCookie

import pytest

from relay.admin.http.sessions import COOKIE_SECONDS
from relay.admin.token import TOKEN_FILE, read_token
from relay.config.schema import RuleConfig
from tests.support.admin_port import fetch
from tests.support.inprocess import open_relay

RULES = {"rule": [RuleConfig(match="secret.name.*", metric="<script>alert(1)</script>")]}
ANONYMOUS = ["verdict", "flow", "windows", "hour", "access"]


def boxes(text: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)"', text)


async def get(address, path="/", headers=None, *, method="GET"):
    """Return status, headers and body; redirects are not followed."""

    def ask():
        with closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    return await asyncio.to_thread(ask)


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: "192.0.2.7")


async def test_the_page_has_its_headers_and_no_style_or_script_in_it(tmp_path):
    async with open_relay(tmp_path) as running:
        status, headers, text = await get(running.relay.admin.bound)
        head = await get(running.relay.admin.bound, method="HEAD")
    assert (status, head[0], head[2]) == (200, 200, "")
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert (headers["Server"], headers.get_content_type()) == ("statsd-relay", "text/html")
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?! src=)|(?:src|href|action)=\"(?!/|#|data:)", text)


async def test_a_client_on_this_machine_sees_names_escaped(tmp_path):
    async with open_relay(tmp_path, **RULES) as running:
        _, _, text = await get(running.relay.admin.bound)
    order = [
        "verdict",
        "flow",
        "find",
        "windows",
        "hour",
        "series",
        "senders",
        "rules",
        "dead-letters",
        "tap",
        "config",
        "about",
    ]
    assert boxes(text) == order
    assert "secret.name.*" in text
    assert "<script>alert" not in text


@pytest.mark.usefixtures("remote")
async def test_another_machine_sees_codes_and_numbers(tmp_path):
    async with open_relay(tmp_path, **RULES) as running:
        await running.feed(b"secret.metric:1|c|#secret.tag:x", b"secret line")
        await running.delivered("secret.metric", 1)
        address = running.relay.admin.bound
        _, _, text = await get(address)
        for path in ("/api/v1/history", "/api/v1/windows/last"):
            status, _, answer = await get(address, path)
            assert status == 200
            text += answer
    assert boxes(text) == ANONYMOUS
    assert "statsd-relay status --link" in text
    assert "secret" not in text
    assert str(tmp_path) not in text
    assert running.relay.namer.host not in re.findall(r"<title>.*?</header>", text)[0]


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-For", "Origin"])
async def test_no_header_opens_the_page(tmp_path, header):
    async with open_relay(tmp_path, **RULES) as running:
        _, _, text = await get(running.relay.admin.bound, headers={header: "127.0.0.1"})
    assert boxes(text) == ANONYMOUS


async def make_link(running, tmp_path) -> str:
    token = await asyncio.to_thread(read_token, tmp_path / TOKEN_FILE)
    headers = {"Authorization": f"Bearer {token}"}
    status, _, answer = await fetch(running.relay.admin.bound, "/api/v1/links", method="POST", headers=headers)
    assert (status, answer["seconds"]) == (200, 300)
    host, port = running.relay.admin.bound
    assert answer["url"].startswith(f"http://{host}:{port}/?key=")
    return answer["url"].partition(str(port))[2]


@pytest.mark.usefixtures("remote")
async def test_a_link_opens_the_page_once_and_its_cookie_keeps_it_open(tmp_path):
    async with open_relay(tmp_path, **RULES) as running:
        address = running.relay.admin.bound
        link = await make_link(running, tmp_path)
        for ahead in ({"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
            status, headers, _ = await get(address, link, ahead)
            assert (status, headers["Set-Cookie"]) == (503, None)
        status, headers, _ = await get(address, link)
        assert (status, headers["Location"]) == (303, "/")
        [(name, cookie)] = SimpleCookie(headers["Set-Cookie"]).items()
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"]) == ("Strict", "/")
        assert (cookie["max-age"], cookie["domain"]) == (str(COOKIE_SECONDS), "")
        status, _, text = await get(address, link)
        assert (status, json.loads(text)["error"]["fix"]) == (403, "statsd-relay status --link")
        sent = {"Cookie": f"{name}={cookie.value}"}
        assert "secret.name" in (await get(address, "/", sent))[2]
        assert (await get(address, link, sent))[0] == 303, "the link is opened again by a browser that has the cookie"
        assert (await get(address, "/api/v1/rules", sent))[0] == 200
        assert boxes((await get(address, "/", {"Cookie": f"{name}=x"}))[2]) == ANONYMOUS


async def test_a_link_from_a_page_of_another_site_needs_no_cookie_along_a_redirect(tmp_path):
    async with open_relay(tmp_path) as running:
        link = await make_link(running, tmp_path)
        status, headers, text = await get(running.relay.admin.bound, link, {"Sec-Fetch-Site": "cross-site"})
    assert (status, "Set-Cookie" in headers) == (200, True)
    assert '<meta http-equiv="refresh" content="0;url=/">' in text


async def test_a_link_needs_the_token(tmp_path):
    async with open_relay(tmp_path) as running:
        status, _, answer = await fetch(running.relay.admin.bound, "/api/v1/links", method="POST")
    assert (status, str(tmp_path) in answer["error"]["fix"]) == (401, True)


async def test_an_unknown_parameter_or_file(tmp_path):
    async with open_relay(tmp_path) as running:
        address = running.relay.admin.bound
        assert (await get(address, "/?x=1"))[0] == 400
        assert (await get(address, "/static/nothing.js"))[0] == 404
        assert (await get(address, "/static/..%2fdocument.py"))[0] == 404


async def test_without_javascript_the_page_loads_itself_again_unless_paused(tmp_path):
    async with open_relay(tmp_path) as running:
        refresh = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
        assert refresh in (await get(running.relay.admin.bound))[2]
        assert refresh not in (await get(running.relay.admin.bound, "/?pause=true"))[2]


async def test_every_file_that_the_page_names_exists(tmp_path):
    async with open_relay(tmp_path) as running:
        address = running.relay.admin.bound
        _, _, text = await get(address)
        paths = re.findall(r'(?:src|href)="(/[^"]*)"', text)
        for path in {path.partition("#")[0] for path in paths}:
            assert (await get(address, path))[0] == 200, path


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("find=known", ["SENT", "<code>known</code>"]),
        ("find=secret.name.x", ["Rule 1", "applies to"]),
        ("find=nothing%3Cb%3E", ["NEVER RECEIVED", "nothing&lt;b&gt;"]),
        ("line=known:1|c", ["SENT", "<pre"]),
        ("line=known:x|c", ["REJECTED", "^"]),
        ("line=a:1|c%0Ab:1|c", ["one line at a time"]),
    ],
)
async def test_a_name_is_found_and_a_line_is_tried(tmp_path, query, said):
    async with open_relay(tmp_path, **RULES) as running:
        await running.feed(b"known:1|g")
        await running.delivered("known", 1)
        _, _, text = await get(running.relay.admin.bound, f"/?{query}")
        found = text[text.index('<section id="find"') : text.index('<section id="windows"')]
    assert [word for word in said if word not in found] == []
    assert "<b>" not in found


@pytest.mark.parametrize("query", ["find=" + "x" * 256, "line=" + "x" * 8193])
async def test_a_question_that_is_too_long(tmp_path, query):
    async with open_relay(tmp_path) as running:
        assert (await get(running.relay.admin.bound, f"/?{query}"))[0] in (400, 414)


@pytest.mark.usefixtures("remote")
async def test_a_client_without_access_finds_nothing(tmp_path):
    async with open_relay(tmp_path, **RULES) as running:
        _, _, text = await get(running.relay.admin.bound, "/?find=secret.name.x&line=a:1|c")
    assert boxes(text) == ANONYMOUS
