"""How a running relay comes to work by another configuration: at once, or when the next window begins.

The relay has the configuration that is in force, and every change is judged against that: a second one before the edge
takes the place of the first, and brings what that one would have changed, too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay.daemon.build import ingest_settings, make_rules
from relay.daemon.lifecycle.changes import compare

if TYPE_CHECKING:
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.delivery.sender.pool import Cloud, Transport
    from relay.window.protocols import Pipeline


class Reconfiguration:
    """State: the way out that is to be used from the next window on."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: Transport | None = None

    def __repr__(self) -> str:
        """Report whether something waits for the edge."""
        return f"<Reconfiguration {'waiting' if self._transport else 'none'}>"

    async def at_once(self, config: Config, cloud: Cloud) -> None:
        """Sign with other credentials from the next request on; `config` differs in what may change at once."""
        self._relay.config = self._relay.status.config = config
        await self._relay.pool.replace(cloud=cloud)

    async def at_edge(self, config: Config, *, cloud: Cloud, transport: Transport) -> None:
        """Work by another configuration when the next window begins.

        Args:
            config: differs from the one in force only in what may change there (config/changes.py).
            cloud: the API side of it.
            transport: its way out, which is closed here or by the relay.
        """
        settings, rules = ingest_settings(config), await asyncio.to_thread(make_rules, config)
        overtaken, self._transport = self._transport, transport

        def begin() -> Pipeline:
            self._transport = None
            return self._relay.begin(config, settings, rules=rules, cloud=cloud, transport=transport)

        self._relay.closer.at_edge(begin if compare(self._relay.config, config) else None)
        if overtaken is not None:
            await overtaken.close()

    async def close(self) -> None:
        """Close what has waited for an edge that does not come."""
        if self._transport is not None:
            await self._transport.close()
