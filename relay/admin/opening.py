"""The admin port of a relay: every feature's routes, and what must not be imported before the sockets are read."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack

    from relay.admin.rules import Namer, Rule
    from relay.admin.server import AdminServer, State
    from relay.admin.tees import Tees
    from relay.admin.watching import Windows
    from relay.config.schema import Admin


async def open_admin(  # noqa: PLR0913 - whom each feature speaks for; app.py is the only caller
    admin: Admin,
    state: State,
    *,
    rules: Callable[[], tuple[Sequence[Rule], Namer]],
    tees: Tees,
    windows: Windows,
    open_window: Callable[[], int],
    waits: bool,
    closing: AsyncExitStack,
) -> AdminServer:
    """Listen; `closing` takes what ends it.

    Its libraries take half of a start, and the sockets are read meanwhile: hence the thread.

    Args:
        admin: addresses and hosts.
        state: whom the port speaks for.
        rules: returns those in force, and who follows them.
        tees: who leases copies.
        windows: who passes closed windows on.
        open_window: returns the id of the open one.
        waits: listen as soon as the address is free, if it is not.
        closing: what is to be ended.

    Raises:
        RelayError: RLY101, the address cannot be bound.
    """
    await asyncio.to_thread(import_module, "relay.admin.server")
    from relay.admin.rules import rule_routes  # noqa: PLC0415 - see above
    from relay.admin.server import AdminServer  # noqa: PLC0415 - see above
    from relay.admin.tees import tee_routes  # noqa: PLC0415 - see above
    from relay.admin.windows import window_routes  # noqa: PLC0415 - see above

    routes = [*rule_routes(rules), *tee_routes(tees), *window_routes(windows, open_window)]
    server = AdminServer(listen=admin.listen, state=state, routes=routes, hosts=admin.hosts)
    closing.push_async_callback(server.stop)
    closing.callback(windows.close)
    await server.start(waits=waits)
    return server
