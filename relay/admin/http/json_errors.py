"""Errors below /api/ that no endpoint raises: an unknown path or method, a body that is too large or too slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from relay.admin.http.endpoint import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an error below /api/ as JSON."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400 or not request.path.startswith("/api/"):
            raise
        return _as_json(request, error)


def _as_json(request: web.Request, error: web.HTTPException) -> web.Response:
    methods = ", ".join(sorted(error.allowed_methods)) if isinstance(error, web.HTTPMethodNotAllowed) else ""
    match error.status:
        case 404:
            found = ApiError(404, "unknown path", fix="GET /api/v1/openapi.json lists the paths")
        case 405:
            found = ApiError(405, f"this path does not answer {request.method[:20]}", fix=f"use {methods}")
        case 408:
            found = ApiError(408, "the body did not come in time", fix="send it at once")
        case 413:
            found = ApiError(413, f"the body is over {request.client_max_size} bytes", fix="send less")
        case status:
            found = ApiError(status, error.reason)
    answer = found.answer()
    if methods:
        answer.headers["Allow"] = methods
    return answer
