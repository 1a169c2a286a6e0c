"""Names become addresses in a thread of their own: a lookup that hangs blocks neither the loop nor the exit.

getaddrinfo can take half a minute and cannot be cancelled. In a shared pool a few such lookups would keep others from
their threads, and an interpreter waits for its pools at exit; a daemon thread does neither. aiohttp keeps the addresses
and never looks the same name up twice at a time, so there is one thread per name at most.
"""

from __future__ import annotations

import asyncio
import socket
from threading import Thread
from typing import Any, Protocol


class GetAddresses(Protocol):
    """socket.getaddrinfo, or what a test has instead."""

    def __call__(self, host: str, port: int, *, family: int, type: int) -> list[Any]:  # noqa: A002 - its name there
        """Block until the name is looked up."""
        ...


class Lookup:
    """State: none; what aiohttp calls a resolver."""

    def __init__(self, get_addresses: GetAddresses) -> None:
        self._get_addresses = get_addresses

    def __repr__(self) -> str:
        """Name it."""
        return "<Lookup>"

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """Return the addresses of a host, as aiohttp wants them.

        Raises:
            OSError: there are none.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def look_up() -> None:
            try:
                addresses = self._get_addresses(host, port, family=family, type=socket.SOCK_STREAM)
            except OSError as error:
                _tell(loop, found, None, error)
            else:
                _tell(loop, found, addresses, None)

        Thread(target=look_up, name="lookup", daemon=True).start()
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": found_family,
                "proto": proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for found_family, _, proto, _, address in await found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _tell(
    loop: asyncio.AbstractEventLoop,
    found: asyncio.Future[list[Any]],
    addresses: list[Any] | None,
    error: OSError | None,
) -> None:
    """Answer from the thread, unless nobody waits any more."""

    def answer() -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses or [])

    if not loop.is_closed():
        loop.call_soon_threadsafe(answer)
