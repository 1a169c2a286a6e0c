"""`POST /api/v1/links`: a link that opens the page with full access, once; `/` accepts it (page/routes.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.admin.answers.link import LinkAnswer
from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.admin.http.sessions import LINK_SECONDS

if TYPE_CHECKING:
    from aiohttp import web


def link_endpoints() -> list[Endpoint[Any]]:
    """Return `POST /api/v1/links`."""

    async def make(request: web.Request, _: NoParameters) -> LinkAnswer:
        key = request.app[GUARD].sessions.make_link()
        return LinkAnswer(url=f"http://{request.host}/?key={key}", seconds=int(LINK_SECONDS))

    return [
        Endpoint(
            path="/api/v1/links",
            summary="Make a link that opens the page with full access; it is good once, for five minutes.",
            handle=make,
            parameters=NoParameters,
            answer=LinkAnswer,
            method="POST",
            access=Access.TOKEN,
        )
    ]
