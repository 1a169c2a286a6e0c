"""Requests of the commands to the admin port of a running relay.

It imports little, since a health check runs every few seconds.
"""

from __future__ import annotations

import http.client
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from relay.config.addresses import connect_host, join_address, parse_endpoint
from relay.errors import reason_of, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.schema import AdminConfig

Address = tuple[str, int]
"""Host, without brackets, and port."""
_TIMEOUT: Final = 3.0


def parse_admin(listen: str) -> Address:
    """Parse the HOST:PORT list on which a relay listens; return the first address that accepts a connection.

    0.0.0.0, :: and an empty host become loopback. If no address accepts a connection, the first one is returned.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    places = [parse_endpoint(text.strip()) for text in listen.split(",")]
    return _answering([(connect_host(host), port) for host, port in places])


def find_admin(admin: AdminConfig, *, fix: str) -> Address:
    """Return the address of the admin port in a configuration; `fix`: what to do if there is none.

    Raises:
        RelayError: RLY101, the configuration has no admin port.
    """
    addresses = admin.addresses()
    if not addresses:
        raise unreachable('[admin] listen is "": this relay has no admin port', fix)
    return parse_admin(",".join(addresses))


def _answering(addresses: list[Address]) -> Address:
    """Return the first address that accepts a connection: without IPv6, a machine has only some of them."""
    for address in addresses if len(addresses) > 1 else ():
        with suppress(OSError), socket.create_connection(address, timeout=_TIMEOUT):
            return address
    return addresses[0]


def ask(address: Address, path: str, *, post: bytes | None = None, most: int = 1000, fix: str) -> tuple[int, str]:
    """Return status and body of one request.

    Args:
        address: of the admin port.
        path: of the request.
        post: JSON body of a POST; None: a GET.
        most: bytes of the body that are read.
        fix: what to do if no relay answers.

    Raises:
        RelayError: RLY101, no relay answers.
    """
    host, port = address
    headers: Mapping[str, str] = {} if post is None else {"Content-Type": "application/json"}
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=_TIMEOUT)) as connection:
            connection.request("GET" if post is None else "POST", path, post, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(most).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(f"no relay answers on {join_address(host, port)}: {reason_of(error)}", fix) from error
