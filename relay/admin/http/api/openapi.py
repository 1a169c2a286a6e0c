"""`GET /api/v1/openapi.json`: the API as an OpenAPI 3.1 document, made of the same values as the routes."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from relay import __version__
from relay.admin.answers.error import ErrorAnswer
from relay.admin.http.endpoint import Access, Endpoint, NoParameters, json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

_PATH: Final = "/api/v1/openapi.json"
_PART: Final = re.compile(r"\{(\w+)(:[^}]*)?\}")
_REFERENCES: Final = "#/components/schemas/{name}"
_TOKEN: Final = {"token": {"type": "http", "scheme": "bearer", "description": "The content of the admin-token file."}}


def with_openapi(endpoints: Sequence[Endpoint[Any]]) -> list[Endpoint[Any]]:
    """Return the endpoints and `GET /api/v1/openapi.json`, which describes those below /api/."""
    described = [one for one in endpoints if one.path.startswith("/api/")]

    async def show(_: web.Request, __: NoParameters) -> web.Response:
        return json_answer(document)

    own: Endpoint[Any] = Endpoint(
        path=_PATH,
        summary="This document.",
        handle=show,
        parameters=NoParameters,
        access=Access.OPEN,
        stream="application/json",
    )
    document = describe([*described, own])
    return [*endpoints, own]


def describe(endpoints: Sequence[Endpoint[Any]]) -> dict[str, Any]:
    """Return the document."""
    used = {type_ for one in endpoints for type_ in (one.answer, one.body) if type_} | {ErrorAnswer}
    types = sorted(used, key=lambda type_: type_.__name__)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    known = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(_path(one), {})[one.method.lower()] = _operation(one, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "statsd-relay", "version": __version__, "description": "The API of the admin port."},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _TOKEN},
    }


def _operation(one: Endpoint[Any], known: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": one.summary, "parameters": _parameters(one)}
    if one.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": known[one.body]}}}
    if one.access is not Access.OPEN:
        operation["security"] = [{"token": []}] if one.access is Access.TOKEN else [{}, {"token": []}]
    answer = {one.stream: {"schema": known[one.answer] if one.answer else {}}}
    operation["responses"] = {"200": {"description": "The answer.", "content": answer}, **_errors(one, known)}
    return operation


def _errors(one: Endpoint[Any], known: dict[Any, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": known[ErrorAnswer]}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in one.errors()}


def _path(one: Endpoint[Any]) -> str:
    """Return the path without the patterns of its parts."""
    return _PART.sub(r"{\1}", one.path)


def _parameters(one: Endpoint[Any]) -> list[dict[str, Any]]:
    """Return the parts of the path, and the fields of the query."""
    text = {"type": "string", "minLength": 1}
    parts = [{"name": name, "in": "path", "required": True, "schema": text} for name, _ in _PART.findall(one.path)]
    schema = msgspec.json.schema(one.parameters)["$defs"][one.parameters.__name__]
    return parts + [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": of_field}
        for name, of_field in schema["properties"].items()
    ]
