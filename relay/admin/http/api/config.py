"""`GET /api/v1/config`: the configuration in force, each value with its origin; secrets are masked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay.admin.answers.config import ConfigAnswer, values_in_force
from relay.admin.http.endpoint import Endpoint, NoParameters
from relay.wording import as_time

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.protocols import Relay


def config_endpoints(relay: Relay) -> list[Endpoint[NoParameters]]:
    """Return `GET /api/v1/config`."""

    async def show(_: web.Request, __: NoParameters) -> ConfigAnswer:
        source = relay.in_force
        state = str(relay.state or "")
        # A thousand rules take 40 ms.
        values = await asyncio.to_thread(
            values_in_force, relay.config, source.origins, credentials=relay.credentials, state=state
        )
        return ConfigAnswer(generation=source.generation, since=as_time(source.since), values=values)

    return [
        Endpoint(
            path="/api/v1/config",
            summary="The configuration in force, each value with its origin; secrets are masked.",
            handle=show,
            parameters=NoParameters,
            answer=ConfigAnswer,
        )
    ]
