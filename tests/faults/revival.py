"""What follows a kill: a supervisor replaces its worker, and without one the test starts the relay again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.relay import RelayProcess


async def revive(relay: RelayProcess) -> float:
    """Wait until a worker that ended has been replaced; return the seconds in which no socket was open.

    Only where no supervisor held the sockets is that more than 0: what is sent in that time is not the relay's fault.
    """
    began = time.monotonic()
    while relay.process.poll() is None and time.monotonic() < began + 10:
        if await asyncio.to_thread(relay.scrape):
            return 0.0
        await asyncio.sleep(0.02)
    assert relay.process.poll() is not None, f"no worker answers:\n{relay.text()[-3000:]}"
    await asyncio.to_thread(relay.start)
    return time.monotonic() - began
