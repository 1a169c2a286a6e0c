"""The HTTP server of the admin port: health, readiness and metrics.

The text console shares the port (console/protocol_mux.py). Invariant: the routes in this file are read-only, bounded,
and show no name, tag or line of a user. A route that shows or changes more has its own file beside this one, and its
handler is wrapped in `local_only` (guard.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.admin.console.commands import Console
from relay.admin.console.protocol_mux import CONNECTIONS_MOST, ActiveRequests, ProtocolMux
from relay.admin.console.session import SessionTimeouts
from relay.admin.http.guard import HOSTS
from relay.admin.http.metrics import Scrapes, make_registry
from relay.config.addresses import join_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from relay.admin.protocols import Relay
    from relay.listener.admin_sockets import AdminSockets

_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts to bind an address that another process holds."""


class AdminServer:
    """State: the addresses on which it listens.

    Args:
        sockets: the listening sockets.
        relay: the running relay.
        routes: routes of other features.
        hosts: host names that the Host header of guarded routes may have besides loopback.
        most: connections at a time.
    """

    def __init__(
        self,
        *,
        sockets: AdminSockets,
        relay: Relay,
        routes: Sequence[web.RouteDef] = (),
        hosts: Iterable[str] = (),
        most: int = CONNECTIONS_MOST,
    ) -> None:
        self._sockets = sockets
        self._relay = relay
        self._routes = routes
        self._hosts = frozenset(host.lower() for host in hosts)
        self._most = most
        self._scrapes = Scrapes(make_registry(relay))
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
        app = web.Application(client_max_size=1024, middlewares=[active.middleware()])
        app[HOSTS] = self._hosts
        app.add_routes(self._routes)
        app.router.add_get("/-/healthy", self._probe(self._relay.status.healthy))
        app.router.add_get("/-/ready", self._probe(self._relay.status.ready))
        app.router.add_get("/metrics", self._metrics)
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

    async def _listen(self, mux: ProtocolMux, sockets: Sequence[socket.socket]) -> None:
        self._bound += [await mux.open(sock) for sock in sockets]

    async def _wait(self, mux: ProtocolMux) -> None:
        """Try every second: the daemon being replaced holds the address, or another program does."""
        log = structlog.get_logger("relay")
        missing = ", ".join(map(str, self._sockets.missing))
        log.warning("the admin port is taken, waiting for it", admin=missing, reason=self._sockets.trouble)
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

    def _probe(self, check: Callable[[], tuple[bool, str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def probe(_: web.Request) -> web.Response:
            is_well, sentence = check()
            return web.Response(status=200 if is_well else 503, text=f"{sentence}\n")

        return probe

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._scrapes.text(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        )


def _log() -> logging.Logger:
    """Return the logger of aiohttp: it logs errors of our handlers with a traceback, but not malformed requests."""
    log = logging.getLogger("relay.admin")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
