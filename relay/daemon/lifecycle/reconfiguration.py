"""Puts another configuration in force in a running relay: at once, or when the next window begins.

The relay owns the configuration in force, and a new one is always compared with that. So a second reload before the
edge replaces the first, and includes its changes if they are still in the file. Not known here: where a configuration
comes from.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay.daemon.build import ingest_settings, make_rules
from relay.daemon.cloud import make_cloud
from relay.daemon.lifecycle.changes import compare

if TYPE_CHECKING:
    from relay.config.credentials import Credentials
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.delivery.sender.pool import Transport
    from relay.window.protocols import Pipeline


class Reconfiguration:
    """State: the transport for the next window, while it waits for the edge."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: Transport | None = None

    async def at_once(self, config: Config, credentials: Credentials | None) -> None:
        """Use other credentials from the next request on; `config` differs only in keys that may change at once."""
        self._relay.config = config
        await self._relay.pool.replace(cloud=make_cloud(config.cloud, credentials))

    async def at_edge(self, config: Config, *, credentials: Credentials | None, transport: Transport) -> None:
        """Put another configuration in force when the next window begins.

        Args:
            config: differs from the one in force only in keys that may change at the edge (changes.py).
            credentials: those of `config`.
            transport: the transport of `config`; closed here or by the relay.
        """
        settings, rules = ingest_settings(config), await asyncio.to_thread(make_rules, config)
        superseded, self._transport = self._transport, transport

        def begin() -> Pipeline:
            self._transport = None
            return self._relay.reconfigure(config, settings, rules=rules, credentials=credentials, transport=transport)

        self._relay.closer.at_edge(begin if compare(self._relay.config, config) else None)
        if superseded is not None:
            await superseded.close()

    async def close(self) -> None:
        """Close the transport that waits for the next window: the relay ends before it."""
        if self._transport is not None:
            await self._transport.close()
