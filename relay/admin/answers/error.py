"""The answer of a request that failed."""

from __future__ import annotations

import msgspec

from relay.errors import Problem  # noqa: TC001 - msgspec reads the annotations


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what to do."""

    code: str
    """A code of relay/errors.py, or a word of admin/http/endpoint.py, such as `bad_request`."""
    message: str
    fix: str = ""
    problems: list[Problem] = []
    """Of a configuration that is refused."""


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer of /api/v1 with status 400 or more."""

    error: ErrorDetail


def error_sentence(body: str) -> str:
    """Return message and fix of the body of an error; any other body as it is, in one line."""
    try:
        detail = msgspec.json.decode(body, type=ErrorAnswer).error
    except msgspec.MsgspecError:
        return " ".join(body.split())
    return f"{detail.message}; {detail.fix}" if detail.fix else detail.message
