"""The configuration: `GET /api/v1/config` shows what is in force, without secrets; `POST /-/reload` loads it again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from relay.admin.answers.config import ConfigAnswer, ReloadAnswer, values_in_force
from relay.admin.http.endpoint import Access, ApiError, Endpoint, NoParameters
from relay.errors import RelayError
from relay.wording import as_time

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.protocols import Relay


class ReloadParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`upgrade=true`: replace the worker with the installed program, which loads the configuration."""

    upgrade: bool = False


def config_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/config` and `POST /-/reload`, which is 409 for a configuration with errors."""

    async def show(_: web.Request, __: NoParameters) -> ConfigAnswer:
        return await read_config(relay)

    async def reload(_: web.Request, parameters: ReloadParameters) -> ReloadAnswer:
        control = relay.control
        if control is None:
            raise ApiError(503, "the relay is starting or stopping", fix="try again")
        try:
            return control.upgrade() if parameters.upgrade else await control.reload()
        except RelayError as error:
            raise ApiError(409, error.brief(), code="RLY502", problems=error.problems) from error

    return [
        Endpoint(
            path="/api/v1/config",
            summary="The configuration in force, each value with its origin; secrets are masked.",
            handle=show,
            parameters=NoParameters,
            answer=ConfigAnswer,
        ),
        Endpoint(
            path="/-/reload",
            summary="Load the configuration, or replace the worker with the installed program; the answer says when.",
            handle=reload,
            parameters=ReloadParameters,
            answer=ReloadAnswer,
            method="POST",
            access=Access.TOKEN,
            fails_with=(409, 503),
        ),
    ]


async def read_config(relay: Relay) -> ConfigAnswer:
    """Return the answer; a thread makes it, since a thousand rules take 40 ms."""
    source, state = relay.in_force, str(relay.state or "")
    values = await asyncio.to_thread(
        values_in_force, relay.config, source.origins, credentials=relay.credentials, state=state
    )
    return ConfigAnswer(generation=source.generation, since=as_time(source.since), values=values)
