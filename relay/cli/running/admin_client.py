"""Requests of the commands to the admin port of a running relay; running.py finds that port.

It imports little, since a health check runs every few seconds.
"""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from relay.admin.answers.error import ErrorAnswer
from relay.config.addresses import connect_host, join_address, parse_endpoint
from relay.errors import reason_of, unreachable

if TYPE_CHECKING:
    from relay.errors import RelayError

T = TypeVar("T", bound=msgspec.Struct)
Address = tuple[str, int]
"""Host, without brackets, and port."""
_TIMEOUT: Final = 3.0
WALK_TIMEOUT: Final = 30.0
"""Seconds for an answer that walks over all series: 50,000 take a second of CPU, and the machine may be busy."""
_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest answer in bytes: 1,000 rules are about 200 KiB."""
_FIX: Final = "start the relay, or name its admin port with --admin HOST:PORT"
_SHOWN: Final = 200


def parse_places(listen: str) -> list[Address]:
    """Parse the HOST:PORT list on which a relay listens; 0.0.0.0, :: and an empty host become loopback.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    places = [parse_endpoint(text.strip()) for text in listen.split(",")]
    return [(connect_host(host), port) for host, port in places]


def ask(  # noqa: PLR0913 - the parts of a request
    address: Address,
    path: str,
    *,
    post: bytes | None = None,
    token: str = "",
    most: int = 1000,
    timeout: float = _TIMEOUT,
    fix: str = _FIX,
) -> tuple[int, str]:
    """Return status and body of one request.

    Args:
        address: of the admin port.
        path: of the request.
        post: JSON body of a POST; None: a GET.
        token: of the relay, for a request that changes something; "" without one.
        most: bytes of the body that are read.
        timeout: seconds until an answer.
        fix: what to do if no relay answers.

    Raises:
        RelayError: RLY101, no relay answers.
    """
    host, port = address
    headers = {} if post is None else {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=timeout)) as connection:
            connection.request("GET" if post is None else "POST", path, post, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(most).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "no HTTP"
        raise unreachable(f"no relay answers on {join_address(host, port)}: {reason}", fix) from error


def fetch(
    address: Address,
    path: str,
    type_: type[T],
    *,
    post: bytes | None = None,
    token: str = "",
    timeout: float = _TIMEOUT,
) -> T:
    """Return the answer of an endpoint of /api/v1; the arguments are those of `ask`.

    Raises:
        RelayError: RLY101, no relay answers, or it refuses; with its own words.
    """
    status, body = ask(address, path, post=post, token=token, most=_BYTES_MAX, timeout=timeout)
    if status != 200:
        raise refusal(address, status, body)
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise unreachable(f"{join_address(*address)} is not a relay of this release: {error}", _FIX) from error


def refusal(address: Address, status: int, body: str) -> RelayError:
    """Return the error of a request that a relay refused, in the words of the relay."""
    try:
        detail = msgspec.json.decode(body, type=ErrorAnswer).error
    except msgspec.MsgspecError:
        if status == 404:
            message = f"the relay on {join_address(*address)} is of an earlier release, which cannot answer this"
            return unreachable(message, "replace it by the installed program: statsd-relay reload --upgrade")
        return unreachable(f"{join_address(*address)} answers {status}: {body[:_SHOWN]}", _FIX)
    return unreachable(f"{join_address(*address)} answers {status}: {detail.message}", detail.fix)
