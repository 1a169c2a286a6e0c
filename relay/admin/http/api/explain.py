"""`POST /api/v1/explain`: what the running relay would do with a line; nothing is counted or sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from relay.admin.answers.explain import ExplainAnswer, ExplainRequest
from relay.admin.http.endpoint import ApiError, Endpoint, NoParameters, read_body

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.protocols import Relay


def explain_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `POST /api/v1/explain`."""

    async def show(request: web.Request, _: NoParameters) -> ExplainAnswer:
        return await explain_line(relay, (await read_body(request, ExplainRequest)).line)

    return [
        Endpoint(
            path="/api/v1/explain",
            summary="Trace a line through every step to the points that would be sent; it is not counted.",
            handle=show,
            parameters=NoParameters,
            answer=ExplainAnswer,
            method="POST",
            body=ExplainRequest,
        )
    ]


async def explain_line(relay: Relay, line: str) -> ExplainAnswer:
    """Return the answer; a thread makes it, since regexes are compiled.

    Raises:
        ApiError: 400, there is more than one line.
    """
    if "\n" in line:
        raise ApiError(400, "one line at a time")
    return await asyncio.to_thread(relay.explain, line.encode("utf-8", "surrogateescape"))
