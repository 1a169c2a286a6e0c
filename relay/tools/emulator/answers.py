"""Bodies of errors, and hostile answers that a client must survive: cut, unreadable, slow, endless, a bomb."""

from __future__ import annotations

import asyncio
import json
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


_MEBIBYTE: Final = bytes(1_048_576)
_BIG: Final = 1024
"""Size of a big answer, in MiB."""
_HINTS: Final = 1_200
"""Number of writes of 56 kB interim answers each."""
_UNREADABLE: Final = {"garbage": b"<html>it works</html>", "empty": b"", "foreign": b'{"status":"fine"}'}


async def abuse(kind: str, request: web.Request, answer: bytes) -> web.StreamResponse | None:
    """Answer a request, after its points were stored, in the way of a fault kind; None if the kind needs none."""
    if kind in _UNREADABLE:
        return web.Response(body=_UNREADABLE[kind], content_type="text/html")
    if kind in ("lost", "cut"):
        return await _break_off(kind, request, answer)
    if kind == "hints":
        return await _hint(request)
    pieces = {"slow": _slow, "big": _big, "bomb": _bomb}.get(kind)
    if pieces is None:
        return None
    response = web.StreamResponse(headers={"content-encoding": "gzip"} if kind == "bomb" else {})
    await response.prepare(request)
    with suppress(ConnectionError):  # a client should give up reading such an answer
        async for piece in pieces(answer):
            await response.write(piece)
    return response


def abort(request: web.Request) -> None:
    """Cut the connection: the client sees a reset and no answer."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()


async def _break_off(kind: str, request: web.Request, answer: bytes) -> web.StreamResponse:
    if kind == "cut":
        response = web.StreamResponse(headers={"content-length": str(len(answer))})
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
    abort(request)
    return web.Response(status=500)


async def _hint(request: web.Request) -> web.Response:
    """Write interim answers until the client disconnects or about 67 MB are written."""
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2_000
    for _number in range(_HINTS):
        if not isinstance(request.transport, asyncio.Transport) or request.transport.is_closing():
            break
        request.transport.write(hints)
        await asyncio.sleep(0)
    abort(request)
    return web.Response(status=500)


async def _slow(answer: bytes) -> AsyncIterator[bytes]:
    for index in range(len(answer)):
        yield answer[index : index + 1]
        await asyncio.sleep(1)


async def _big(_: bytes) -> AsyncIterator[bytes]:
    for _number in range(_BIG):
        yield _MEBIBYTE


async def _bomb(_: bytes) -> AsyncIterator[bytes]:
    """Yield 1 MB that inflates to 1 GiB: after a full flush, equal compressed bytes inflate to equal data."""
    gzip = zlib.compressobj(9, wbits=31)
    first, again = (gzip.compress(_MEBIBYTE) + gzip.flush(zlib.Z_FULL_FLUSH) for _number in range(2))
    yield first
    for _number in range(_BIG - 1):
        yield again


SHAPES: Final = (1, 2, 3, 4)
"""The formats of an answer with refused points, as the API documents and SDKs show them."""


def partial_failure(shape: int, bad: list[tuple[dict[str, Any], str]], request_id: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of an answer that lists bad points.

    1: errMetricDataList with the point as a text; 2: the same with an object; 3: the key ErrMetricData and an error,
    with status 400; 4: metricDataList with `data`, and an error.
    """
    entries: list[dict[str, Any]]
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "some points are invalid"}
    match shape:
        case 1:
            entries = [{"errMetricData": json.dumps(point), "errDetail": detail} for point, detail in bad]
            return 200, _body(request_id, {"errMetricDataList": entries, "success": False})
        case 2:
            entries = [{"errMetricData": point, "errDetail": detail} for point, detail in bad]
            return 200, _body(request_id, {"errMetricDataList": entries, "success": False})
        case 3:
            entries = [{"ErrMetricData": json.dumps(point), "ErrDetail": detail} for point, detail in bad]
            return 400, {**_body(request_id, {"errMetricDataList": entries, "success": False}), "error": error}
        case _:
            entries = [{"data": point, "errDetail": detail} for point, detail in bad]
            return 200, {**_body(request_id, {"metricDataList": entries, "success": False}), "error": error}


def _body(request_id: str, result: dict[str, Any]) -> dict[str, Any]:
    return {"requestId": request_id, "result": result}


def failure(status: int, name: str, message: str, request_id: str) -> dict[str, Any]:
    """Return the body of an answer that refuses the whole request."""
    return {"requestId": request_id, "error": {"code": status, "status": name, "message": message}}
