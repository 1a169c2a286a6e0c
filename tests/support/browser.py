"""Headless Chromium, for tests of the page: what a person would see, and what the browser complains about."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.node import install
from tests.support.tools import missing


def expect_chromium() -> None:
    """Skip the test without Chromium, or fail if it is expected."""
    if shutil.which("chromium") is None:
        missing("CHROMIUM", "chromium is not installed (apt-get install chromium)")


@asynccontextmanager
async def chromium():
    """Yield a browser of Debian's package; playwright downloads none."""
    from playwright.async_api import async_playwright  # most tests need none

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        await browser.close()


class Visitor:
    """A page of the browser. State: what it complained about, and the hosts that it asked."""

    def __init__(self, page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url} {request.failure}"))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    async def is_wider_than_the_window(self) -> bool:
        """Whether the whole page scrolls sideways."""
        return await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

    async def axe(self) -> list[str]:
        """Return what axe finds: rule, and the elements."""
        await self.page.evaluate(await asyncio.to_thread(_axe))
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found["violations"]]


def _axe() -> str:
    return (install() / "axe-core" / "axe.min.js").read_text()


@asynccontextmanager
async def visit(browser, url: str, *, width: int = 1400, scheme: str = "light", javascript: bool = True, **options):
    """Yield a visitor of a URL."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript, **options
    )
    visitor = Visitor(await context.new_page())
    await visitor.page.goto(url)
    yield visitor
    await context.close()
