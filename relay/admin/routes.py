"""Makes the admin port with the endpoints of every feature (endpoints.py).

This module may be imported early: it imports aiohttp and the HTTP modules in a thread, while the sockets are read.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from relay.admin.token import ensure_token, token_path
from relay.errors import reason_of

if TYPE_CHECKING:
    from relay.admin.history import History
    from relay.admin.http.guard import Guard
    from relay.admin.http.server import AdminServer
    from relay.admin.protocols import Relay
    from relay.admin.subscribers import WindowSubscribers
    from relay.listener.admin_sockets import AdminSockets


async def make_admin(
    relay: Relay, *, windows: WindowSubscribers, history: History, most: int, sockets: AdminSockets
) -> AdminServer:
    """Return the server of the admin port, not started.

    Importing the HTTP libraries takes half of a start, so a thread does it while the event loop reads the sockets.

    Args:
        relay: the running relay.
        windows: publishes closed windows to subscribers.
        history: the last hour in numbers.
        most: connections at a time.
        sockets: the listening sockets.
    """
    for module in ("relay.admin.http.server", "relay.admin.endpoints"):
        await asyncio.to_thread(import_module, module)
    from relay.admin.endpoints import all_endpoints  # noqa: PLC0415 - see above
    from relay.admin.http.server import AdminServer  # noqa: PLC0415 - see above

    endpoints = all_endpoints(relay, windows=windows, history=history)
    return AdminServer(sockets=sockets, relay=relay, guard=await _make_guard(relay), endpoints=endpoints, most=most)


async def _make_guard(relay: Relay) -> Guard:
    """Return the access control with the token of the relay; without one, the reason is logged."""
    from relay.admin.http.guard import Guard  # noqa: PLC0415 - see make_admin

    path, token = token_path(relay.config.admin, relay.state), ""
    try:
        token = await asyncio.to_thread(ensure_token, path) if path else ""
    except (OSError, ValueError) as error:
        event = "no admin token, the admin port changes nothing"
        structlog.get_logger("relay").warning(event, code="RLY103", why=reason_of(error))
    hosts = relay.config.admin.hosts
    return Guard(context=relay.context, hosts=hosts, token=token, place=str(path or ""))
