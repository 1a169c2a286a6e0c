"""`GET /api/v1/series`, `/api/v1/series/{name}`, `/api/v1/tags`: which metrics have how many series, and why.

Names and tags are user data, so the routes answer clients on this machine, or with a token, only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from relay.admin.answers.series import NameAnswer, SeriesAnswer, TagsAnswer
from relay.admin.http.endpoint import Endpoint, NoParameters
from relay.limits import NAME_READ

if TYPE_CHECKING:
    from aiohttp import web

    from relay.admin.protocols import Relay

Top = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Glob = Annotated[str, msgspec.Meta(max_length=255)]


class SeriesParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which metrics are listed, and in which order."""

    glob: Glob = ""
    """Of the metric as sent; `*` matches dots, too. Empty: every metric."""
    by: Literal["series", "growth", "samples", "tags"] = "series"
    top: Top = 20


class TagsParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many tags are listed."""

    top: Top = 20


def series_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return the routes about series."""

    async def table(_: web.Request, wanted: SeriesParameters) -> SeriesAnswer:
        return await relay.cardinality.table(glob=wanted.glob, by=wanted.by, top=wanted.top)

    async def tags(_: web.Request, wanted: TagsParameters) -> TagsAnswer:
        return await relay.cardinality.tags(top=wanted.top)

    async def one(request: web.Request, _: NoParameters) -> NameAnswer:
        return await relay.cardinality.describe(request.match_info["name"][:NAME_READ])

    return [
        Endpoint(
            path="/api/v1/series/{name}",
            summary="All that is known of one name, as received or as sent: it always answers.",
            handle=one,
            parameters=NoParameters,
            answer=NameAnswer,
        ),
        Endpoint(
            path="/api/v1/series",
            summary="The metrics with the most series, what makes them many, and the rule that would reduce them.",
            handle=table,
            parameters=SeriesParameters,
            answer=SeriesAnswer,
        ),
        Endpoint(
            path="/api/v1/tags",
            summary="The tags with the most values in the open window.",
            handle=tags,
            parameters=TagsParameters,
            answer=TagsAnswer,
        ),
    ]
