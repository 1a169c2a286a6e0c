"""The admin port of a relay: every feature's routes, and what must not be imported before the sockets are read."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from relay.admin.http.rules import Namer
    from relay.admin.http.server import AdminServer, Sockets
    from relay.admin.http.server import State as Served
    from relay.admin.http.tees import Tees
    from relay.admin.subscribers import WindowSubscribers
    from relay.config.schema import Admin

    class State(Served, Protocol):  # here: to run this would import what the thread below imports
        """Whom the port speaks for, with all of its features."""

        @property
        def namer(self) -> Namer:
            """Who follows the rules that are in force."""
            ...

        @property
        def leases(self) -> Tees:
            """Who leases copies."""
            ...

        @property
        def open_window(self) -> int:
            """Id of the open window."""
            ...


async def open_admin(
    admin: Admin, state: State, *, windows: WindowSubscribers, most: int, sockets: Sockets, closing: AsyncExitStack
) -> AdminServer:
    """Listen; `closing` takes what ends it.

    Its libraries take half of a start, and the sockets are read meanwhile: hence the thread.

    Args:
        admin: the section of the configuration.
        state: whom the port speaks for.
        windows: who passes closed windows on.
        most: connections.
        sockets: where it listens.
        closing: what is to be ended.

    Raises:
        RelayError: RLY101, the address cannot be bound.
    """
    await asyncio.to_thread(import_module, "relay.admin.http.server")
    from relay.admin.http.rules import rule_routes  # noqa: PLC0415 - see above
    from relay.admin.http.server import AdminServer  # noqa: PLC0415 - see above
    from relay.admin.http.tees import tee_routes  # noqa: PLC0415 - see above
    from relay.admin.http.windows import window_routes  # noqa: PLC0415 - see above

    routes = [
        *rule_routes(lambda: (state.config.rule, state.namer)),
        *tee_routes(state.leases),
        *window_routes(windows, lambda: state.open_window),
    ]
    server = AdminServer(sockets=sockets, state=state, routes=routes, hosts=admin.hosts, most=most)
    closing.push_async_callback(server.stop)
    closing.callback(windows.close)
    await server.start()
    return server
