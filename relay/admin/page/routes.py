"""`GET /` and the files of the page.

Every client sees the boxes of codes and numbers; the others need access (http/guard.py). A link's key in the query is
exchanged for a cookie.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from aiohttp import web

from relay import __version__
from relay.admin.http.api.config import read_config
from relay.admin.http.api.explain import explain_line
from relay.admin.http.api.history import columns
from relay.admin.http.api.rules import table as rule_table
from relay.admin.http.api.status import public
from relay.admin.http.api.windows_last import last_windows
from relay.admin.http.endpoint import Access, ApiError, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.admin.http.sessions import COOKIE_SECONDS
from relay.admin.page.boxes.about import about_box
from relay.admin.page.boxes.access import access_box
from relay.admin.page.boxes.charts import charts_box
from relay.admin.page.boxes.config import config_box
from relay.admin.page.boxes.dead_letters import dead_letters_box
from relay.admin.page.boxes.find import find_box
from relay.admin.page.boxes.flow import flow_box
from relay.admin.page.boxes.rules import rules_box
from relay.admin.page.boxes.senders import senders_box
from relay.admin.page.boxes.series import series_box
from relay.admin.page.boxes.verdict import page_level, page_title, verdict_box
from relay.admin.page.boxes.windows import windows_box
from relay.admin.page.document import HEADERS, document, static_files
from relay.admin.page.figures import read_flow
from relay.admin.page.html import Html, element
from relay.delivery.dead_letters.redrive import Selection
from relay.wording import as_duration

if TYPE_CHECKING:
    from relay.admin.answers.dead_letters import LettersAnswer
    from relay.admin.dead_letters import DeadLetters
    from relay.admin.history import History
    from relay.admin.protocols import Relay
    from relay.admin.senders import SenderTable

_WINDOWS: Final = 15
_METRICS: Final = 10
_SENDERS: Final = 10


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
        self._senders = senders
        self._history = history
        self._letters = letters

    async def show(self, request: web.Request, parameters: PageParameters) -> web.Response:
        """Answer the page; a link's key is exchanged for a cookie first."""
        if parameters.key and request.method == "GET":
            return _open_link(request, parameters.key)
        guard = request.app[GUARD]
        boxes = await self._boxes(parameters, has_access=guard.may_read(request), may_change=guard.may_change(request))
        text = self._document(boxes, has_access=guard.may_read(request), is_paused=parameters.pause)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def replay(self, _: web.Request, __: NoParameters) -> web.Response:
        """Send every dead letter again, and show the page."""
        if self._letters is None:
            raise ApiError(409, "dead letters are not kept: there is no state directory")
        await self._letters.replay(Selection(), dry_run=False)
        return web.Response(status=303, headers={**HEADERS, "Location": "/#dead-letters"})

    def _document(self, boxes: list[tuple[str, str, Html]], *, has_access: bool, is_paused: bool) -> str:
        answer = self._relay.health.status()
        answer = answer if has_access else public(answer)
        host = (self._relay.namer.host or socket.gethostname()) if has_access else "statsd-relay"
        verdict = verdict_box(answer, has_access=has_access)
        return document(
            title=page_title(answer, host),
            level=page_level(answer),
            header=self._header(host),
            boxes=[("verdict", "Verdict", verdict), *boxes],
            is_paused=is_paused,
        )

    def _header(self, host: str) -> list[object]:
        up, now = as_duration(self._relay.status.uptime), time.localtime(self._relay.context.clock.wall())
        zone = time.strftime("%z", now)
        as_of = time.strftime(f"%H:%M:%S {zone[:3]}:{zone[3:]}", now)
        return [element("b", host), f"statsd-relay {__version__}", f"up {up}", as_of]

    async def _boxes(self, asked: PageParameters, *, has_access: bool, may_change: bool) -> list[tuple[str, str, Html]]:
        relay = self._relay
        flow = read_flow(relay, self._history)
        everybody = [
            ("flow", "Flow", flow_box(flow, has_access=has_access)),
            ("windows", "Windows", windows_box(last_windows(relay.context.ledger, _WINDOWS))),
            ("hour", "Last hour", charts_box(columns(relay, self._history.rows()))),
        ]
        if not has_access:
            return [*everybody, ("access", "Access", access_box())]
        series = await relay.cardinality.table(glob="", by="series", top=_METRICS)
        letters = dead_letters_box(await self._read_letters(), may_change=may_change)
        everybody.insert(1, ("find", "Find", await self._find(asked)))
        return [
            *everybody,
            ("series", "Series", series_box(series)),
            ("senders", "Senders", senders_box(self._senders.answer(top=_SENDERS, by="lines"))),
            ("rules", "Rules", rules_box(rule_table(relay.config.rule, relay.namer, relay.cardinality.rules()))),
            ("dead-letters", "Dead letters", letters),
            ("config", "Configuration", await self._read_config()),
            ("about", "About", about_box(relay)),
        ]

    async def _find(self, asked: PageParameters) -> Html:
        known = await self._relay.cardinality.describe(asked.find) if asked.find else None
        traced, trouble = None, ""
        try:
            traced = await explain_line(self._relay, asked.line) if asked.line else None
        except ApiError as error:
            trouble = str(error)
        return find_box(metric=asked.find, line=asked.line, known=known, traced=traced, trouble=trouble)

    async def _read_config(self) -> Html:
        is_in_force = self._relay.status.is_last_reload_successful
        return config_box(await read_config(self._relay), is_file_in_force=is_in_force)

    async def _read_letters(self) -> LettersAnswer | None:
        try:
            return await self._letters.summary() if self._letters else None
        except OSError:
            return None


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
