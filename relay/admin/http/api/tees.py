"""`POST /api/v1/tee`: a temporary tee, which copies received datagrams to an address of this machine.

It ends unless the command renews it, so a command that dies leaves no tee behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from relay.admin.http.guard import is_loopback, local_only
from relay.config.addresses import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.tee.tees import Tees


class TeeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request: the target, and the seconds until the tee ends."""

    to: str
    seconds: Annotated[float, msgspec.Meta(ge=1, le=60)]


def tee_routes(tees: Tees) -> Sequence[web.RouteDef]:
    """Return the route; it answers `{"datagrams": sent, "dropped": dropped}`, or 400 and a sentence."""

    async def lease(request: web.Request) -> web.Response:
        try:
            wanted = _read(await request.read())
            sent, dropped = tees.renew_temporary(wanted.to, wanted.seconds)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({"datagrams": sent, "dropped": dropped})

    return [web.post("/api/v1/tee", local_only(lease))]


def _read(body: bytes) -> TeeRequest:
    """Parse the body of a request.

    Raises:
        ValueError: the body is not JSON, or breaks a rule.
    """
    wanted = msgspec.json.decode(body, type=TeeRequest)
    if not is_loopback(parse_target(wanted.to)[0]):
        raise ValueError("to: must be an address of this machine, such as 127.0.0.1:9125")
    return wanted
