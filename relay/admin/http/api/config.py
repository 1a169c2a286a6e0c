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
        return await read_config(relay)

    return [
        Endpoint(
            path="/api/v1/config",
            summary="The configuration in force, each value with its origin; secrets are masked.",
            handle=show,
            parameters=NoParameters,
            answer=ConfigAnswer,
        )
    ]


async def read_config(relay: Relay) -> ConfigAnswer:
    """Return the answer; a thread makes it, since a thousand rules take 40 ms."""
    source, state = relay.in_force, str(relay.state or "")
    values = await asyncio.to_thread(
        values_in_force, relay.config, source.origins, credentials=relay.credentials, state=state
    )
    return ConfigAnswer(generation=source.generation, since=as_time(source.since), values=values)
