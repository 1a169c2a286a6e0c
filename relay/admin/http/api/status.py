"""`GET /api/v1/status`: what is wrong, and the figures of the data path.

Every client gets the codes and numbers. Sentences, names, addresses and settings are for clients that may read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from relay.admin.answers.status import StatusAnswer
from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.errors import CODES

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.answers.status import StatusFinding
    from relay.admin.protocols import Relay


def status_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/status`."""

    async def show(request: web.Request, _: NoParameters) -> StatusAnswer:
        answer = relay.health.status()
        return answer if request.app[GUARD].may_read(request) else public(answer)

    return [
        Endpoint(
            path="/api/v1/status",
            summary="What is wrong, what to do, and the figures of the data path; codes and numbers for everybody.",
            handle=show,
            parameters=NoParameters,
            answer=StatusAnswer,
            access=Access.OPEN,
        )
    ]


def public(answer: StatusAnswer) -> StatusAnswer:
    """Return the answer without names, addresses, settings and words of the cloud."""
    replace = msgspec.structs.replace
    return replace(
        answer,
        host="",
        findings=[_public(finding) for finding in answer.findings],
        rules=replace(answer.rules, top_dropping=""),
        series=replace(answer.series, fastest=""),
        cloud=replace(answer.cloud, provider="", host=""),
        config=replace(answer.config, file=""),
    )


def _public(finding: StatusFinding) -> StatusFinding:
    code = finding.code
    return msgspec.structs.replace(
        finding, subject="", sentence=CODES[code], cloud="", fix=f"explain {code}", safe="", next=f"explain {code}"
    )
