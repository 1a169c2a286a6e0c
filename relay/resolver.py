"""Host names, looked up in threads: getaddrinfo can take half a minute and cannot be cancelled.

Each lookup has a daemon thread of its own. In a shared pool it would block other calls, and the interpreter joins its
pools at exit. Callers bound the number of lookups: one per name at a time.
"""

from __future__ import annotations

import socket
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class GetAddresses(Protocol):
    """The signature of socket.getaddrinfo; tests pass another function."""

    def __call__(self, host: str, port: int, *, family: int, type: int) -> list[Any]:  # noqa: A002 - its name there
        """Look the name up. Blocks."""
        ...


class Resolver:
    """Looks up host names without blocking the caller. State: none."""

    def __init__(self, get_addresses: GetAddresses = socket.getaddrinfo) -> None:
        self._get_addresses = get_addresses

    def look_up(
        self, host: str, port: int, *, family: int = 0, kind: int, then: Callable[[list[Any] | OSError], object]
    ) -> None:
        """Start a lookup.

        Args:
            host: name or address.
            port: passed through to the result.
            family: AF_INET or AF_INET6; 0: both.
            kind: SOCK_STREAM or SOCK_DGRAM.
            then: called in the thread of the lookup with the entries of getaddrinfo, or with the reason for none.
        """

        def run() -> None:
            try:
                answer: list[Any] | OSError = self._get_addresses(host, port, family=family, type=kind)
            except OSError as error:
                answer = error
            except UnicodeError as error:  # a label that IDNA refuses
                answer = OSError(str(error))
            then(answer)

        try:
            Thread(target=run, name=f"lookup {host}", daemon=True).start()
        except RuntimeError as error:  # no thread is left
            then(OSError(str(error)))
