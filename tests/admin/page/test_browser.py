"""The page in a browser: both widths and both colour schemes, with and without JavaScript, good and with trouble.

With RELAY_SCREENSHOTS=DIR each view is stored there, to be looked at.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from relay.admin.token import TOKEN_FILE, read_token
from relay.config.schema import LimitsConfig, RuleConfig
from tests.support.admin_port import fetch
from tests.support.browser import chromium, expect_chromium, visit
from tests.support.inprocess import open_relay

SCREENSHOTS = os.environ.get("RELAY_SCREENSHOTS")
HOSTILE = "<img src=x onerror=alert(1)>"
RULES = [RuleConfig(match="debug.**", action="drop"), RuleConfig(match="jobs.*.done", metric="jobs.done")]
SIZES = [(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")]


@pytest.fixture(autouse=True)
def needed():
    expect_chromium()


async def fill(running, *, trouble: bool) -> None:
    """Send what each box shows; with trouble the cloud refuses a metric, then everything."""
    if trouble:
        running.emulator.poison.add("refused.points")
    lines = [f"web.req:{number}|c|#request_id:{number:04x}" for number in range(300)]
    lines += ["debug.sql:1|c", "web.time:12|ms", "web.hits:1|c", "a" * 120 + ":1|g", f"{HOSTILE}:1|c", "bad line"]
    await running.feed(*(line.encode() for line in [*lines, "refused.points:1|c"]))
    await running.delivered("web.hits", 1)
    if trouble:
        async with asyncio.timeout(20):
            while not running.relay.context.ledger.dead_letters:
                await asyncio.sleep(0.05)


async def save(visitor, name: str) -> None:
    if SCREENSHOTS:
        await visitor.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


def url_of(running) -> str:
    return "http://{}:{}/".format(*running.relay.admin.bound)


async def make_link(running, state) -> str:
    token = await asyncio.to_thread(read_token, state / TOKEN_FILE)
    headers = {"Authorization": f"Bearer {token}"}
    return (await fetch(running.relay.admin.bound, "/api/v1/links", method="POST", headers=headers))[2]["url"]


@pytest.mark.parametrize("trouble", [False, True], ids=["good", "trouble"])
async def test_every_view_is_usable_and_quiet(tmp_path, trouble):
    limits = LimitsConfig(series_per_metric=200)
    async with open_relay(tmp_path, rule=RULES, limits=limits) as running, chromium() as browser:
        await fill(running, trouble=trouble)
        if trouble:
            running.emulator.rotate("another secret")
            await running.feed(b"web.hits:1|c")
        url = url_of(running)
        for width, scheme in SIZES:
            for javascript in (True, False):
                async with visit(browser, url, width=width, scheme=scheme, javascript=javascript) as visitor:
                    page = visitor.page
                    drawn = ".plot canvas" if javascript else ".plot svg"
                    await page.locator(drawn).first.wait_for()
                    assert await page.locator(drawn).count() == 6
                    name = f"{'trouble' if trouble else 'good'}-{width}-{scheme}{'' if javascript else '-plain'}"
                    await save(visitor, name)
                    assert visitor.complaints == [], name
                    assert visitor.hosts == {url.split("/")[2]}, name
                    if javascript:
                        assert not await visitor.is_wider_than_the_window(), name
                        assert await visitor.axe() == [], name


async def test_a_client_without_access_has_a_usable_page_too(tmp_path, monkeypatch):
    monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: "192.0.2.7")
    async with open_relay(tmp_path, rule=RULES) as running, chromium() as browser:
        await fill(running, trouble=False)
        async with visit(browser, url_of(running), width=400) as visitor:
            await visitor.page.locator(".plot canvas").first.wait_for()
            await save(visitor, "anonymous-400")
            assert (visitor.complaints, await visitor.axe()) == ([], [])
            assert await visitor.page.locator("#access").count() == 1
            assert "web." not in await visitor.page.content()


async def test_a_link_opens_the_page_and_a_button_of_it_changes_something(tmp_path, monkeypatch):
    monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: "192.0.2.7")
    async with open_relay(tmp_path, rule=RULES) as running, chromium() as browser:
        await fill(running, trouble=True)
        link = await make_link(running, tmp_path)
        async with visit(browser, link) as visitor:
            assert visitor.page.url == url_of(running)
            await visitor.page.get_by_role("button", name="Replay all").click()
            await visitor.page.wait_for_url("**/#dead-letters")
            async with asyncio.timeout(20):
                while not running.relay.context.ledger.points_replayed:
                    await asyncio.sleep(0.05)
            assert visitor.complaints == []
            await save(visitor, "replayed")


async def test_with_javascript_the_boxes_follow_the_relay(tmp_path):
    async with open_relay(tmp_path) as running, chromium() as browser:
        await running.feed(b"first.metric:1|g")
        await running.delivered("first.metric", 1)
        async with visit(browser, url_of(running)) as visitor:
            page = visitor.page
            scrolled = page.locator("#series .scroll")
            await scrolled.focus()
            await running.feed(b"second.metric:1|g")
            await page.locator("#series").get_by_text("second.metric").wait_for(timeout=20_000)
            assert await scrolled.evaluate("one => one === document.activeElement"), "the focus stays"
            await running.stop()
            await page.locator("#stale").get_by_text("The relay does not answer").wait_for(timeout=20_000)


async def test_lines_are_tapped_live_as_text_and_not_while_hidden(tmp_path):
    async with open_relay(tmp_path, rule=RULES) as running, chromium() as browser:
        url = url_of(running)
        async with visit(browser, url) as visitor:
            page, lines = visitor.page, visitor.page.locator("#tap-lines > div")
            await page.locator("#tap-glob").fill("*")
            await page.locator("#tap-start").click()
            await page.get_by_text("lines/s shown").wait_for(timeout=20_000)
            await running.feed(f"{HOSTILE}:1|c".encode(), "a\u202eb:1|c".encode(), b"debug.sql:1|c", b"x:abc|c")
            for text in (HOSTILE, "\\u{202e}", "DROPPED by rule 1 debug.**", "REJECTED bad_value"):
                await lines.get_by_text(text).first.wait_for(timeout=20_000)
            assert await page.locator("#tap-lines img").count() == 0
            await save(visitor, "tap")
            assert (visitor.complaints, await visitor.axe()) == ([], [])
            await page.locator("#tap-start").click()
            await page.get_by_text("Stopped.").wait_for()
            shown = await lines.count()
            await running.feed(b"after:1|c")
            await running.delivered("after", 1)
            assert await lines.count() == shown


async def test_the_page_is_used_by_keyboard(tmp_path):
    async with (
        open_relay(tmp_path) as running,
        chromium() as browser,
        visit(browser, url_of(running)) as visitor,
    ):
        page = visitor.page
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
