"""`GET /api/v1/`: which relay answers, so that a command knows whether it is the one that it looks for."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from relay import __version__
from relay.admin.answers.index import IndexAnswer
from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.wording import as_time

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.protocols import Relay


def index_endpoints(relay: Relay) -> list[Endpoint[NoParameters]]:
    """Return `GET /api/v1/`."""

    async def show(request: web.Request, _: NoParameters) -> IndexAnswer:
        return index(relay) if request.app[GUARD].may_read(request) else IndexAnswer(version=__version__)

    return [
        Endpoint(
            path="/api/v1/",
            summary="Which relay answers: its version; with access its processes, its file and its state directory.",
            handle=show,
            parameters=NoParameters,
            answer=IndexAnswer,
            access=Access.OPEN,
        )
    ]


def index(relay: Relay) -> IndexAnswer:
    """Return the answer with access."""
    in_force = relay.in_force
    return IndexAnswer(
        version=__version__,
        host=relay.namer.host or socket.gethostname(),
        pid=relay.main_pid or os.getpid(),
        worker=os.getpid(),
        started=as_time(relay.status.started),
        file=str(in_force.path.absolute()) if in_force.path else "",
        generation=in_force.generation,
        since=as_time(in_force.since),
        sha256=in_force.sha256,
        refusals=relay.control.refusals if relay.control else 0,
        refused=relay.control.refused if relay.control else "",
        state_directory=str(relay.state.absolute()) if relay.state else "",
    )
