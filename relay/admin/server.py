"""HTTP for people and probes; the text console shares its port (port.py).

What stands here is read only, bounded, and shows no name, tag or line of a user. What shows or changes more has an own
file beside this one with a function that returns its routes, each handler of them in `local_only` (guard.py).
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog
from aiohttp import web

from relay.admin.console import Console
from relay.admin.console import State as Told
from relay.admin.conversation import Pace
from relay.admin.figures import State as Figures
from relay.admin.guard import HOSTS
from relay.admin.metrics import make_registry, scrape
from relay.admin.port import CONNECTIONS_MOST, Answering, Port
from relay.config.addresses import parse_address
from relay.errors import ExitCode, Problem, RelayError, reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_NOWHERE: Final = ("", 0)


class State(Figures, Told, Protocol):
    """Whom the server speaks for."""

    def healthy(self) -> tuple[bool, str]:
        """Liveness and one sentence."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Readiness and one sentence."""
        ...


class AdminServer:
    """State: a listening socket.

    Args:
        listen: HOST:PORT.
        state: whom it speaks for.
        routes: of other features.
        hosts: what the Host header of guarded routes may say besides loopback.
        most: connections.
    """

    def __init__(
        self,
        *,
        listen: str,
        state: State,
        routes: Sequence[web.RouteDef] = (),
        hosts: Iterable[str] = (),
        most: int = CONNECTIONS_MOST,
    ) -> None:
        self._listen = listen
        self._state = state
        self._routes = routes
        self._hosts = frozenset(host.lower() for host in hosts)
        self._most = most
        self._registry = make_registry(state)
        self._runner: web.AppRunner | None = None
        self._port: Port | None = None
        self.bound = _NOWHERE
        self._waiting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Report the address."""
        return f"<AdminServer {self.bound}>"

    @property
    def address(self) -> str:
        """HOST:PORT as bound, and as asked for while another process still has it."""
        return ":".join(map(str, self.bound)) if self._waiting is None else self._listen

    async def start(self, *, waits: bool = False) -> None:
        """Listen.

        Args:
            waits: if another process has the address, listen there as soon as it is free.

        Raises:
            RelayError: RLY101, the address cannot be bound.
        """
        answering = Answering()
        app = web.Application(client_max_size=1024, middlewares=[answering.middleware()])
        app[HOSTS] = self._hosts
        app.add_routes(self._routes)
        app.router.add_get("/-/healthy", self._probe(self._state.healthy))
        app.router.add_get("/-/ready", self._probe(self._state.ready))
        app.router.add_get("/metrics", self._metrics)
        # A handler ends with its reader: who has gone must not take the place of the next one who wants to watch.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        http, console = cast("web.Server", self._runner.server), Console(self._state)
        self._port = Port(http=http, answering=answering, console=console, pace=Pace(), most=self._most)
        try:
            self.bound = await self._port.open(*parse_address(self._listen))
        except OSError as error:
            if waits and error.errno == errno.EADDRINUSE:
                self._waiting = asyncio.create_task(self._wait(self._port), name="admin port")
                return
            await self._runner.cleanup()
            message = f"cannot bind admin port {self._listen}: {reason_of(error)}"
            fix = 'stop who holds it, give [admin] listen another port, or listen = "" for none'
            raise RelayError(
                Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE
            ) from error

    async def _wait(self, port: Port) -> None:
        """Try every second: the daemon that is being replaced has it."""
        log = structlog.get_logger("relay")
        log.info("the admin port is taken, waiting for it", admin=self._listen)
        while self.bound == _NOWHERE:
            await asyncio.sleep(1)
            with suppress(OSError):
                self.bound = await port.open(*parse_address(self._listen))
        self._waiting = None
        log.info("the admin port is free, listening", admin=self.address)

    async def stop(self) -> None:
        """Close the port."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._runner is not None and self._port is not None:
            await self._port.close()
            await self._runner.cleanup()

    def _probe(self, ask: Callable[[], tuple[bool, str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def probe(_: web.Request) -> web.Response:
            fine, sentence = ask()
            return web.Response(status=200 if fine else 503, text=f"{sentence}\n")

        return probe

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=scrape(self._registry), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        )
