"""`POST /api/v1/tee`: a temporary tee, which copies received datagrams to an address of this machine.

It ends unless the command renews it, so a command that dies leaves no tee behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.admin.answers.tee import TeeAnswer, TeeRequest
from relay.admin.http.endpoint import ApiError, Endpoint, NoParameters, read_body
from relay.admin.http.guard import GUARD, is_loopback
from relay.config.addresses import parse_target

if TYPE_CHECKING:
    from aiohttp import web

    from relay.tee.tees import Tees


def tee_endpoints(tees: Tees) -> list[Endpoint[Any]]:
    """Return `POST /api/v1/tee`."""

    async def lease(request: web.Request, _: NoParameters) -> TeeAnswer:
        wanted = await read_body(request, TeeRequest)
        if not is_loopback(_host(wanted.to)):
            raise ApiError(400, "to: must be an address of this machine, such as 127.0.0.1:9125")
        is_new = not tees.has_temporary(wanted.to)
        try:
            sent, dropped = tees.renew_temporary(wanted.to, wanted.seconds)
        except ValueError as error:
            raise ApiError(400, str(error)) from error
        if is_new:
            request.app[GUARD].log("temporary tee started", request, to=wanted.to)
        return TeeAnswer(datagrams=sent, dropped=dropped)

    return [
        Endpoint(
            path="/api/v1/tee",
            summary="Start or extend a temporary tee, which copies received datagrams to an address of this machine.",
            handle=lease,
            parameters=NoParameters,
            answer=TeeAnswer,
            method="POST",
            body=TeeRequest,
        )
    ]


def _host(to: str) -> str:
    try:
        return parse_target(to)[0]
    except ValueError as error:
        raise ApiError(400, str(error)) from error
