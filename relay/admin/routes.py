"""Makes the admin port with the routes of every feature.

This module may be imported early: it imports aiohttp and the HTTP modules in a thread, while the sockets are read.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.admin.http.server import AdminServer
    from relay.admin.protocols import Relay
    from relay.admin.subscribers import WindowSubscribers
    from relay.listener.admin_sockets import AdminSockets


async def make_admin(relay: Relay, *, windows: WindowSubscribers, most: int, sockets: AdminSockets) -> AdminServer:
    """Return the server of the admin port, not started.

    Importing the HTTP libraries takes half of a start, so a thread does it while the event loop reads the sockets.

    Args:
        relay: the running relay.
        windows: publishes closed windows to subscribers.
        most: connections at a time.
        sockets: the listening sockets.
    """
    await asyncio.to_thread(import_module, "relay.admin.http.server")
    from relay.admin.http.api.rules import rule_endpoints  # noqa: PLC0415 - see above
    from relay.admin.http.api.tees import tee_routes  # noqa: PLC0415 - see above
    from relay.admin.http.api.windows import window_routes  # noqa: PLC0415 - see above
    from relay.admin.http.server import AdminServer  # noqa: PLC0415 - see above

    endpoints = [*rule_endpoints(relay)]
    routes = [
        *(one.route() for one in endpoints),
        *tee_routes(relay.tees),
        *window_routes(windows, lambda: relay.closer.open_id),
    ]
    return AdminServer(sockets=sockets, relay=relay, routes=routes, hosts=relay.config.admin.hosts, most=most)
