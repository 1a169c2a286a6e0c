"""One route of the API as data: its parameters, its answer, and the access that it needs.

server.py registers the route, and the OpenAPI document is made of the same value. The query is checked against the
fields of `parameters`: an unknown one is 400 with the known ones named. A failure is an `ApiError`, answered as JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

import msgspec
from aiohttp import web

from relay.admin.answers.error import ErrorAnswer, ErrorDetail
from relay.admin.http.guard import GUARD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from relay.errors import Problem

JSON: Final = "application/json"
WORDS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    503: "busy",
}
"""Status -> word, for errors without a code of relay/errors.py."""


_EXPECTED: Final = re.compile(r"Expected (\w+)(?:( of length)? ([<>]=?) ([\d.]+))?")
_BOUNDS: Final = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_TYPES: Final = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}


class Access(StrEnum):
    """Which requests an endpoint answers."""

    OPEN = "open"
    """Every client that reaches the port: codes and numbers only, no name, address, setting or word of the cloud."""
    LOCAL = "local"
    """Clients on this machine, or with a token."""
    TOKEN = "token"  # noqa: S105 - not a secret
    """Clients with a token: the endpoint changes something."""


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an endpoint without parameters."""


class ApiError(Exception):
    """A request that cannot be answered; the client gets the sentence and the fix."""

    def __init__(
        self, status: int, message: str, *, fix: str = "", code: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        word = code or WORDS.get(status, "error")
        self.detail = ErrorDetail(code=word, message=message, fix=fix, problems=list(problems))

    def answer(self) -> web.Response:
        """Return the error as JSON."""
        answer = json_answer(ErrorAnswer(error=self.detail), status=self.status)
        if self.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[P]):
    """A route. `handle` gets the request and its checked parameters; it returns an answer, or a response (a stream)."""

    path: str
    summary: str
    """One sentence for the OpenAPI document."""
    handle: Callable[[web.Request, P], Awaitable[msgspec.Struct | web.StreamResponse]]
    parameters: type[P]
    """Fields of the query; forbids unknown fields. `NoParameters` without any."""
    answer: type[msgspec.Struct] | None = None
    """Type of the answer; None: a stream."""
    method: Literal["GET", "POST"] = "GET"
    body: type[msgspec.Struct] | None = None
    """Type of the request's body, for the OpenAPI document; `handle` reads it with `read_body`."""
    access: Access = Access.LOCAL
    allows_head: bool = False
    """Whether HEAD is answered too: load balancers probe with it."""
    stream: str = JSON
    """Media type of the answer."""
    fails_with: Sequence[int] = ()
    """Status of errors of its own, for the OpenAPI document."""

    def errors(self) -> list[int]:
        """Return every status of an error that it may answer."""
        needed = {Access.OPEN: set(), Access.LOCAL: {401, 403}, Access.TOKEN: {401, 403}}[self.access]
        return sorted({400, *needed, *({408, 413} if self.body else ()), *self.fails_with})

    def route(self) -> web.RouteDef:
        """Return the route for aiohttp."""
        if self.method == "GET":
            return web.get(self.path, self._respond, allow_head=self.allows_head)
        return web.post(self.path, self._respond)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        try:
            check_access(request, self.access)
            answer = await self.handle(request, read_parameters(request, self.parameters))
        except ApiError as error:
            return error.answer()
        if self.access is Access.TOKEN:
            request.app[GUARD].log("changed over the admin port", request, action=f"{self.method} {self.path}")
        return answer if isinstance(answer, web.StreamResponse) else json_answer(answer)


def check_access(request: web.Request, access: Access) -> None:
    """Check that the client may ask.

    Raises:
        ApiError: 401 or 403, with the rule that the request breaks and the ways in.
    """
    if access is Access.OPEN:
        return
    refusal = request.app[GUARD].refusal(request, changes=access is Access.TOKEN)
    if refusal:
        raise ApiError(refusal.status, refusal.message, fix=refusal.fix)


def read_parameters(request: web.Request, type_: type[P]) -> P:
    """Return the query of a request as a struct.

    Raises:
        ApiError: 400, a parameter is unknown, given twice, or has a wrong value.
    """
    known = [field.encode_name for field in msgspec.structs.fields(type_)]
    for name in request.query:
        if name not in known:
            listed = f"the parameters are {', '.join(known)}" if known else "this path has no parameters"
            raise ApiError(400, f"unknown parameter {name[:80]}", fix=listed)
        if len(request.query.getall(name)) > 1:
            raise ApiError(400, f"parameter {name} is given more than once", fix="give it once")
    try:
        return msgspec.convert(dict(request.query), type_, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(400, _rule(str(error), type_)) from error


def _rule(error: str, parameters: type[msgspec.Struct]) -> str:
    """Return a message of msgspec in plain words: `top must be a whole number, at most 1000`."""
    words, _, name = error.replace("`", "").partition(" - at $.")
    if words.startswith("Invalid enum value"):
        return f"{name} must be {' or '.join(_choices(parameters, name))}"
    found = _EXPECTED.match(words)
    if found is None:
        return error.replace("`", "")
    type_name, is_length, relation, bound = found.groups()
    rule = f", {_BOUNDS[relation]} {bound}{' characters long' if is_length else ''}" if relation else ""
    return f"{name} must be {_TYPES.get(type_name, type_name)}{rule}"


def _choices(type_: type[msgspec.Struct], name: str) -> list[str]:
    """Return the values that a field with a list of values may have."""
    info = msgspec.inspect.type_info(type_)
    fields = info.fields if isinstance(info, msgspec.inspect.StructType) else ()
    return [
        str(value)
        for field in fields
        if field.encode_name == name and isinstance(field.type, msgspec.inspect.LiteralType)
        for value in field.type.values
    ]


async def read_body(request: web.Request, type_: type[P]) -> P:
    """Return the JSON body of a request as a struct.

    Raises:
        ApiError: 400, the body is not JSON, or breaks a rule.
    """
    try:
        return msgspec.json.decode(await request.read(), type=type_)
    except msgspec.MsgspecError as error:
        raise ApiError(400, str(error)) from error


def json_answer(answer: Any, *, status: int = 200) -> web.Response:  # noqa: ANN401 - any struct
    """Return an answer as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type=JSON)
