"""The delivering half of a relay: it opens the state directory, the spool, the dead letters and the sender pool.

Not known here: how points come about.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relay.daemon.lifecycle.changes import sends_differently
from relay.delivery.batcher import pack
from relay.delivery.dead_letters.buffer import DeadLetters
from relay.delivery.dead_letters.replayer import Replayer
from relay.delivery.request_history import RequestHistory
from relay.delivery.sender.gate import SenderSettings, host_offset
from relay.delivery.sender.pool import SenderPool
from relay.delivery.spool.spool import Spool
from relay.delivery.state.directory import StateDirectory
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from pathlib import Path

    from relay.config.schema import Config
    from relay.context import Context
    from relay.delivery.sender.pool import Cloud, Transport
    from relay.model import Batch, Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The parts of the delivering half."""

    directory: StateDirectory | None
    spool: Spool
    dead_letters: DeadLetters
    replayer: Replayer
    history: RequestHistory
    pool: SenderPool
    opened: AsyncExitStack
    """Closes the parts in reverse order."""

    @classmethod
    async def open(  # noqa: PLR0913 - all that the parts need
        cls,
        config: Config,
        *,
        cloud: Cloud,
        transport: Transport,
        state: Path | None,
        place: str = "",
        is_successor: bool = False,
        context: Context,
    ) -> Egress:
        """Open the state directory and recover its waiting batches; `place` stands in its lock file.

        Raises:
            RelayError: RLY101, RLY104, RLY105: the state directory cannot be used, is not safe, or is another relay's.
                A successor raises nothing and works in memory until the directory can be used.
        """
        async with AsyncExitStack() as opened:
            directory = None
            if state:
                open_directory = StateDirectory.resume if is_successor else StateDirectory.open
                directory = await asyncio.to_thread(open_directory, state, place)
                opened.callback(directory.close)
            spool = await Spool.open(state, context, limit_bytes=config.spool.max, state_directory=directory)
            opened.push_async_callback(spool.close)
            letters = DeadLetters(state, context, limit=config.spool.dead_letters, state_directory=directory)
            opened.push_async_callback(letters.close)
            history = RequestHistory(config.admin.history)
            pool = SenderPool(
                spool=spool,
                cloud=cloud,
                transport=transport,
                settings=pool_settings(config),
                dead_letters=letters,
                history=history,
                context=context,
                random=random.random,
            )
            opened.push_async_callback(pool.close)
            replayer = Replayer(state, context, spool=spool, pack=pack_requests)
            return cls(
                directory=directory,
                spool=spool,
                dead_letters=letters,
                replayer=replayer,
                history=history,
                pool=pool,
                opened=opened.pop_all(),
            )

    async def close(self) -> None:
        """Close the parts: the pool first, the state directory last."""
        await self.opened.aclose()

    async def reconfigure(self, before: Config, config: Config, *, cloud: Cloud, transport: Transport) -> None:
        """Send by another configuration.

        Changed settings reset the measured rate and the breakers; a changed section [cloud] replaces the connections.

        Args:
            before: the configuration that was in force.
            config: the configuration in force now.
            cloud: the API side of `config`.
            transport: the transport of `config`; it is closed if the present one can stay.
        """
        new = pool_settings(config)
        settings = new if new != pool_settings(before) else None
        if sends_differently(before, config):
            await self.pool.replace(cloud=cloud, transport=transport, settings=settings)
        else:
            await self.pool.replace(settings=settings)
            await transport.close()

    def background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the tasks that run beside the pool until they are cancelled."""
        return [self.spool.run, self.dead_letters.run, self.replayer.run]


def pack_requests(points: Iterable[Point], window: int) -> Iterator[Batch]:
    """Pack points into putMetricData bodies."""
    return pack(points, window=window, head=BODY_HEAD, tail=BODY_TAIL)


def pool_settings(config: Config) -> SenderSettings:
    """Return the settings of the sender pool."""
    offset = host_offset(config.tags.get("host", ""))
    return SenderSettings.of(config.cloud, window=config.window.seconds, offset=offset)
