"""Opens the admin port with the routes of every feature.

This module may be imported early: it imports aiohttp and the HTTP modules in a thread, while the sockets are read.
"""

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
    from relay.config.schema import AdminConfig

    class State(Served, Protocol):  # here: to run this would import what the thread below imports
        """The relay as all features of the admin port see it."""

        @property
        def namer(self) -> Namer:
            """Counts how often each rule in force matched."""
            ...

        @property
        def leases(self) -> Tees:
            """Starts and renews temporary tees."""
            ...

        @property
        def open_window(self) -> int:
            """Return the id of the open window."""
            ...


async def open_admin(
    admin: AdminConfig,
    state: State,
    *,
    windows: WindowSubscribers,
    most: int,
    sockets: Sockets,
    closing: AsyncExitStack,
) -> AdminServer:
    """Open the admin port and register its shutdown with `closing`.

    Importing the HTTP libraries takes half of a start, so a thread does it while the event loop reads the sockets.

    Args:
        admin: the section of the configuration.
        state: the relay.
        windows: publishes closed windows to subscribers.
        most: connections at a time.
        sockets: the listening sockets.
        closing: gets the callbacks that stop the server and end the subscribers.

    Raises:
        RelayError: RLY101, an address cannot be bound.
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
