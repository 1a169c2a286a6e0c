"""`GET /` and the files of the page.

Every client sees the boxes of codes and numbers; the others need access (http/guard.py). A link's key in the query is
exchanged for a cookie.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web

from relay import __version__
from relay.admin.http.api.dead_letters import kept, use_files
from relay.admin.http.api.status import public
from relay.admin.http.endpoint import Access, ApiError, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.admin.http.sessions import COOKIE_SECONDS
from relay.admin.page.boxes.verdict import page_level, page_title, verdict_box
from relay.admin.page.contents import Asked, Box, Contents
from relay.admin.page.document import HEADERS, document, static_files
from relay.admin.page.html import element
from relay.delivery.dead_letters.redrive import Selection
from relay.wording import as_duration

if TYPE_CHECKING:
    from relay.admin.answers.status import StatusAnswer
    from relay.admin.dead_letters import DeadLetters
    from relay.admin.history import History
    from relay.admin.protocols import Relay
    from relay.admin.senders import SenderTable


class PageParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of the page."""

    key: str = ""
    """Of a link."""
    find: Annotated[str, msgspec.Meta(max_length=255)] = ""
    """A metric."""
    line: Annotated[str, msgspec.Meta(max_length=8192)] = ""
    """To try."""
    pause: bool = False
    """Without JavaScript: do not load the page again every 5 s."""


class FileParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a file: `v` changes with its content."""

    v: str = ""


def page_endpoints(
    relay: Relay, *, history: History, letters: DeadLetters | None, senders: SenderTable
) -> list[Endpoint[Any]]:
    """Return the endpoints of the page."""
    page = Page(relay, history=history, letters=letters, senders=senders)
    return [
        Endpoint(
            path="/",
            summary="The page.",
            handle=page.show,
            parameters=PageParameters,
            access=Access.OPEN,
            allows_head=True,
        ),
        Endpoint(
            path="/dead-letters/replay",
            summary="The form of the page.",
            handle=page.replay,
            parameters=NoParameters,
            method="POST",
            access=Access.TOKEN,
        ),
        Endpoint(
            path="/static/{name}",
            summary="Files of the page.",
            handle=_send_file,
            parameters=FileParameters,
            access=Access.OPEN,
        ),
    ]


class Page:
    """State: none; everything is read from the relay."""

    def __init__(self, relay: Relay, *, history: History, letters: DeadLetters | None, senders: SenderTable) -> None:
        self._relay = relay
        self._letters = letters
        self._contents = Contents(relay, history=history, letters=letters, senders=senders)

    async def show(self, request: web.Request, parameters: PageParameters) -> web.Response:
        """Answer the page; a link's key is exchanged for a cookie first."""
        if parameters.key and request.method == "GET":
            return _open_link(request, parameters.key)
        guard = request.app[GUARD]
        status, has_access = self._relay.health.status(), guard.may_read(request)
        senders = status.input.senders
        asked = Asked(parameters.find, parameters.line, has_access, guard.may_change(request), senders)
        shown = status if has_access else public(status)
        boxes = [Box("verdict", "Verdict", verdict_box(shown, has_access=has_access))]
        boxes += await self._contents.boxes(asked)
        text = self._document(shown, boxes, has_access=has_access, is_paused=parameters.pause)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def replay(self, _: web.Request, __: NoParameters) -> web.Response:
        """Send every dead letter again, and show the page."""
        await use_files(kept(self._letters).replay(Selection(), dry_run=False))
        return web.Response(status=303, headers={**HEADERS, "Location": "/#dead-letters"})

    def _document(self, status: StatusAnswer, boxes: list[Box], *, has_access: bool, is_paused: bool) -> str:
        host = (self._relay.namer.host or socket.gethostname()) if has_access else "statsd-relay"
        return document(
            title=page_title(status, host),
            level=page_level(status),
            header=self._header(host),
            boxes=boxes,
            is_paused=is_paused,
        )

    def _header(self, host: str) -> list[object]:
        up, now = as_duration(self._relay.status.uptime), time.localtime(self._relay.context.clock.wall())
        zone = time.strftime("%z", now)
        as_of = time.strftime(f"%H:%M:%S {zone[:3]}:{zone[3:]}", now)
        return [element("b", host), f"statsd-relay {__version__}", f"up {up}", as_of]


def _open_link(request: web.Request, key: str) -> web.Response:
    """Exchange the key for a cookie; a browser that loads the link ahead of its use does not use it up.

    Raises:
        ApiError: 403, the key is not good; 503, the link is only loaded ahead.
    """
    guard = request.app[GUARD]
    if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
        raise ApiError(503, "this link is good once, so it is not loaded ahead of its use")
    cookie = guard.sessions.use_link(key)
    if cookie:
        guard.log("link opened", request)
    elif not guard.may_change(request):
        guard.count_wrong_link(request)
        raise ApiError(403, "this link was used, or is older than five minutes", fix="statsd-relay status --link")
    answer = _to_page(request)
    if cookie:
        answer.set_cookie(
            guard.sessions.cookie_name, cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict", path="/"
        )
    return answer


def _to_page(request: web.Request) -> web.Response:
    """Redirect to the page.

    A browser does not send a SameSite=Strict cookie along a redirect that a page of another site began, such as a
    terminal in a browser. It does after a refresh of our own page.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        refresh = element("meta", http_equiv="refresh", content="0;url=/")
        page = element("html", element("head", refresh, element("title", "statsd-relay")), lang="en")
        return web.Response(text=f"<!doctype html>\n{page}\n", content_type="text/html", headers=HEADERS)
    return web.Response(status=303, headers={**HEADERS, "Location": "/"})


async def _send_file(request: web.Request, _: FileParameters) -> web.Response:
    found = static_files().get(request.match_info["name"])
    if found is None:
        raise ApiError(404, "unknown file")
    body, type_ = found
    headers = {"Cache-Control": "max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, content_type=type_, charset="utf-8", headers=headers)
