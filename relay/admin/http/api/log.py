"""`GET /api/v1/log`: the newest lines of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from relay.admin.http.endpoint import Endpoint
from relay.admin.log_ring import LogAnswer

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.log_ring import LogRing


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many lines."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000


def log_endpoints(ring: LogRing) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/log`."""

    async def show(_: web.Request, query: LogQuery) -> LogAnswer:
        return ring.answer(query.lines)

    return [
        Endpoint(
            path="/api/v1/log",
            summary="The newest lines of the log since the start of the worker.",
            handle=show,
            parameters=LogQuery,
            answer=LogAnswer,
        )
    ]
