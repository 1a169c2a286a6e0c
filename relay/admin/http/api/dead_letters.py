"""`/api/v1/dead-letters`: list, replay and drop the points that the cloud refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from relay.admin.answers.dead_letters import (
    DropRequest,
    Glob,
    LettersAnswer,
    Reason,
    RedrivenAnswer,
    ReplayRequest,
)
from relay.admin.dead_letters import LAST
from relay.admin.http.endpoint import Access, ApiError, Endpoint, NoParameters, read_body
from relay.delivery.dead_letters.redrive import Selection
from relay.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeVar

    from aiohttp import web

    from relay.admin.dead_letters import DeadLetters

    T = TypeVar("T")

_PATH: Final = "/api/v1/dead-letters"


class LetterParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which letters are listed."""

    reason: Reason = ""
    metric: Glob = ""
    """`*` matches dots, too."""
    last: Annotated[int, msgspec.Meta(ge=0, le=1000)] = LAST


def dead_letter_endpoints(letters: DeadLetters | None) -> list[Endpoint[Any]]:
    """Return the endpoints; None: there is no state directory."""

    async def show(_: web.Request, wanted: LetterParameters) -> LettersAnswer:
        selection = Selection(reason=wanted.reason, metric=wanted.metric)
        return await use_files(kept(letters).list(selection, last=wanted.last))

    async def replay(request: web.Request, _: NoParameters) -> RedrivenAnswer:
        wanted = await read_body(request, ReplayRequest)
        selection = Selection(reason=wanted.reason, metric=wanted.metric)
        return await use_files(kept(letters).replay(selection, dry_run=wanted.dry_run))

    async def drop(request: web.Request, _: NoParameters) -> RedrivenAnswer:
        wanted = await read_body(request, DropRequest)
        selection = Selection(reason=wanted.reason, metric=wanted.metric)
        if not selection and not wanted.all:
            raise ApiError(400, "no letter is selected", fix='give a reason or a metric, or "all": true')
        return await use_files(kept(letters).drop(selection))

    listed: Endpoint[Any] = Endpoint(
        path=_PATH,
        summary="The dead letters by reason and metric, and the newest ones with the cloud's words.",
        handle=show,
        parameters=LetterParameters,
        answer=LettersAnswer,
        fails_with=[409, 503],
    )
    return [
        listed,
        _change(f"{_PATH}/replay", "Send points again, once each.", replay, ReplayRequest),
        _change(f"{_PATH}/drop", "Delete letters, for good.", drop, DropRequest),
    ]


def _change(path: str, summary: str, handle: Any, body: type[msgspec.Struct]) -> Endpoint[Any]:  # noqa: ANN401
    return Endpoint(
        path=path,
        summary=summary,
        handle=handle,
        parameters=NoParameters,
        answer=RedrivenAnswer,
        method="POST",
        body=body,
        access=Access.TOKEN,
        fails_with=[409, 503],
    )


def kept(letters: DeadLetters | None) -> DeadLetters:
    """Return the dead letters.

    Raises:
        ApiError: 409, there is no state directory.
    """
    if letters is None:
        raise ApiError(409, "dead letters are not kept: there is no state directory", fix="set [spool] path")
    return letters


async def use_files(work: Awaitable[T]) -> T:
    """Return the result of work with the files.

    Raises:
        ApiError: 503, they cannot be used.
    """
    try:
        return await work
    except OSError as error:
        fix = "is there room on the disk? a `dead` command that runs holds the files for its duration"
        raise ApiError(503, f"the files of dead letters cannot be used: {reason_of(error)}", fix=fix) from error
