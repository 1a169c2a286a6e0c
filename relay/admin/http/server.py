"""HTTP for people and probes; the text console shares its port (console/protocol_mux.py).

What stands here is read only, bounded, and shows no name, tag or line of a user. What shows or changes more has an own
file beside this one with a function that returns its routes, each handler of them in `local_only` (guard.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.admin.console.commands import Console
from relay.admin.console.commands import State as Told
from relay.admin.console.protocol_mux import CONNECTIONS_MOST, ActiveRequests, ProtocolMux
from relay.admin.console.session import SessionTimeouts
from relay.admin.http.figures import State as Figures
from relay.admin.http.guard import HOSTS
from relay.admin.http.metrics import Scrapes, make_registry
from relay.config.addresses import join_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_AGAIN: Final = 1.0
"""Seconds between two tries of an address that another process has."""


class State(Figures, Told, Protocol):
    """Whom the server speaks for."""

    def healthy(self) -> tuple[bool, str]:
        """Liveness and one sentence."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Readiness and one sentence."""
        ...


class Sockets(Protocol):
    """Where the server listens."""

    trouble: str
    """Why an address is not open."""

    @property
    def given(self) -> Sequence[socket.socket]:
        """Open already."""
        ...

    @property
    def missing(self) -> Sequence[object]:
        """Addresses that are not open yet."""
        ...

    def open_missing(self) -> Sequence[socket.socket]:
        """Open what can be opened by now; return it.

        Raises:
            RelayError: RLY101, an address cannot be bound, and such are not waited for.
        """
        ...

    def close(self) -> None:
        """Close what was opened, unless something holds it."""


class AdminServer:
    """State: the addresses on which it listens.

    Args:
        sockets: where it listens.
        state: whom it speaks for.
        routes: of other features.
        hosts: what the Host header of guarded routes may say besides loopback.
        most: connections.
    """

    def __init__(
        self,
        *,
        sockets: Sockets,
        state: State,
        routes: Sequence[web.RouteDef] = (),
        hosts: Iterable[str] = (),
        most: int = CONNECTIONS_MOST,
    ) -> None:
        self._sockets = sockets
        self._state = state
        self._routes = routes
        self._hosts = frozenset(host.lower() for host in hosts)
        self._most = most
        self._scrapes = Scrapes(make_registry(state))
        self._runner: web.AppRunner | None = None
        self._port: ProtocolMux | None = None
        self._bound: list[tuple[str, int]] = []
        self._waiting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Report the address."""
        return f"<AdminServer {self.address}>"

    @property
    def bound(self) -> tuple[str, int]:
        """The first address, as bound; nowhere yet: an empty host and port 0."""
        return self._bound[0] if self._bound else ("", 0)

    @property
    def address(self) -> str:
        """Each HOST:PORT as bound, and as asked for while another process still has it."""
        return ", ".join([*(join_address(*bound) for bound in self._bound), *map(str, self._sockets.missing)])

    async def start(self) -> None:
        """Listen; on what another process has, as soon as it is free.

        Raises:
            RelayError: RLY101, an address cannot be bound, and such are not waited for.
        """
        answering = ActiveRequests()
        app = web.Application(client_max_size=1024, middlewares=[answering.middleware()])
        app[HOSTS] = self._hosts
        app.add_routes(self._routes)
        app.router.add_get("/-/healthy", self._probe(self._state.healthy))
        app.router.add_get("/-/ready", self._probe(self._state.ready))
        app.router.add_get("/metrics", self._metrics)
        # A handler ends with its reader: who has gone must not take the place of the next one who wants to watch.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True, logger=_log()
        )
        await self._runner.setup()
        http, console = cast("web.Server", self._runner.server), Console(self._state)
        self._port = ProtocolMux(
            http=http, answering=answering, console=console, pace=SessionTimeouts(), most=self._most
        )
        await self._listen(self._port, self._sockets.given)
        await self._listen(self._port, self._sockets.open_missing())
        if self._sockets.missing:
            self._waiting = asyncio.create_task(self._wait(self._port), name="admin port")

    async def _listen(self, port: ProtocolMux, sockets: Sequence[socket.socket]) -> None:
        self._bound += [await port.open(sock) for sock in sockets]

    async def _wait(self, port: ProtocolMux) -> None:
        """Try every second: the daemon that is being replaced has it, or another user of the machine."""
        log = structlog.get_logger("relay")
        missing = ", ".join(map(str, self._sockets.missing))
        log.warning("the admin port is taken, waiting for it", admin=missing, reason=self._sockets.trouble)
        while self._sockets.missing:
            await asyncio.sleep(_AGAIN)
            await self._listen(port, self._sockets.open_missing())
        log.info("the admin port is free, listening", admin=self.address)

    async def stop(self) -> None:
        """Take no connections any more."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._runner is not None and self._port is not None:
            await self._port.close()
            await self._runner.cleanup()
        self._sockets.close()

    def _probe(self, ask: Callable[[], tuple[bool, str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def probe(_: web.Request) -> web.Response:
            fine, sentence = ask()
            return web.Response(status=200 if fine else 503, text=f"{sentence}\n")

        return probe

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._scrapes.text(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        )


def _log() -> logging.Logger:
    """Return where aiohttp tells of mistakes: of ours, with their traceback, and not of a peer that speaks no HTTP."""
    log = logging.getLogger("relay.admin")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
