"""The HTTP server of the admin port. The text console shares the port (console/protocol_mux.py).

It has the routes that it is given, answers errors below /api/ as JSON, and names no library in its answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.admin.console.commands import Console
from relay.admin.console.protocol_mux import CONNECTIONS_MOST, ActiveRequests, ProtocolMux
from relay.admin.console.session import SessionTimeouts
from relay.admin.http.guard import GUARD
from relay.admin.http.json_errors import json_errors
from relay.config.addresses import join_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from relay.admin.http.endpoint import Endpoint
    from relay.admin.http.guard import Guard
    from relay.admin.protocols import Relay
    from relay.listener.admin_sockets import AdminSockets

_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts to bind an address that another process holds."""
BODY_BYTES: Final = 16 * 1024
"""Longest body of a request: a line of 8 KiB, or a name of 255 characters, as JSON may escape them."""


class AdminServer:
    """State: the addresses on which it listens.

    Args:
        sockets: the listening sockets.
        relay: the running relay.
        guard: access control.
        endpoints: what is answered.
        most: connections at a time.
    """

    def __init__(
        self,
        *,
        sockets: AdminSockets,
        relay: Relay,
        guard: Guard,
        endpoints: Iterable[Endpoint[Any]] = (),
        most: int = CONNECTIONS_MOST,
    ) -> None:
        self._sockets = sockets
        self._relay = relay
        self.guard = guard
        self._endpoints = endpoints
        self._most = most
        self._runner: web.AppRunner | None = None
        self._mux: ProtocolMux | None = None
        self._bound: list[tuple[str, int]] = []
        self._waiting: asyncio.Task[None] | None = None

    @property
    def bound(self) -> tuple[str, int]:
        """The first bound address; an empty host and port 0 before the first is bound."""
        return self._bound[0] if self._bound else ("", 0)

    @property
    def address(self) -> str:
        """Each bound HOST:PORT, then the configured ones that another process still holds."""
        return ", ".join([*(join_address(*bound) for bound in self._bound), *map(str, self._sockets.missing)])

    async def start(self) -> None:
        """Listen; addresses that another process holds are bound as soon as they are free.

        Raises:
            RelayError: RLY101, an address cannot be bound, and waiting for it is not allowed.
        """
        active = ActiveRequests()
        app = self._application(active)
        # A handler is cancelled when its client disconnects: otherwise a gone client would still count as a subscriber.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True, logger=_log()
        )
        await self._runner.setup()
        http, console = cast("web.Server", self._runner.server), Console(self._relay)
        self._mux = ProtocolMux(http=http, active=active, console=console, timeouts=SessionTimeouts(), most=self._most)
        await self._listen(self._mux, self._sockets.inherited)
        await self._listen(self._mux, self._sockets.open_missing())
        if self._sockets.missing:
            self._waiting = asyncio.create_task(self._wait(self._mux), name="admin port")

    def _application(self, active: ActiveRequests) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[json_errors, active.middleware()])
        app[GUARD] = self.guard
        app.on_response_prepare.append(_name_server)
        app.add_routes(one.route() for one in self._endpoints)
        return app

    async def _listen(self, mux: ProtocolMux, sockets: Sequence[socket.socket]) -> None:
        self._bound += [await mux.open(sock) for sock in sockets]

    async def _wait(self, mux: ProtocolMux) -> None:
        """Try every second: the daemon being replaced holds the address, or another program does."""
        log = structlog.get_logger("relay")
        missing = ", ".join(map(str, self._sockets.missing))
        log.warning("the admin port is taken, waiting for it", code="RLY101", admin=missing, why=self._sockets.trouble)
        while self._sockets.missing:
            await asyncio.sleep(_RETRY_SECONDS)
            await self._listen(mux, self._sockets.open_missing())
        log.info("the admin port is free, listening", admin=self.address)

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._runner is not None and self._mux is not None:
            await self._mux.close()
            await self._runner.cleanup()
        self._sockets.close()


async def _name_server(_: web.Request, response: web.StreamResponse) -> None:
    """Replace the name and the version of the library."""
    response.headers["Server"] = "statsd-relay"


def _log() -> logging.Logger:
    """Return the logger of aiohttp: it logs errors of our handlers with a traceback, but not malformed requests."""
    log = logging.getLogger("relay.admin")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
