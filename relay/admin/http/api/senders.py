"""`GET /api/v1/senders`: packets, lines and rejected lines by the address of their sender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from relay import limits
from relay.admin.answers.senders import SendersAnswer
from relay.admin.http.endpoint import Endpoint
from relay.admin.senders import Order  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.senders import SenderTable


class SendersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many senders, and in which order: most lines, packets or rejected lines first, or the newest."""

    top: Annotated[int, msgspec.Meta(ge=0, le=limits.SENDERS_MOST)] = 50
    by: Order = "lines"


def sender_endpoints(table: SenderTable) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/senders`."""

    async def show(_: web.Request, query: SendersQuery) -> SendersAnswer:
        return table.answer(top=query.top, by=query.by)

    return [
        Endpoint(
            path="/api/v1/senders",
            summary="Packets, lines and rejected lines by the address of their sender.",
            handle=show,
            parameters=SendersQuery,
            answer=SendersAnswer,
        )
    ]
