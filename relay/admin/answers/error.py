"""The answer of a request that failed."""

from __future__ import annotations

from typing import Literal

import msgspec


class ProblemDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a configuration: the fields of `errors.Problem`, which prints it."""

    code: str
    message: str
    fix: str = ""
    severity: Literal["error", "warning"] = "error"
    source: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    width: int = 1
    key: str = ""


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what to do."""

    code: str
    """A code of relay/errors.py, or a word of admin/http/endpoint.py, such as `bad_request`."""
    message: str
    fix: str = ""
    problems: list[ProblemDetail] = []
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
