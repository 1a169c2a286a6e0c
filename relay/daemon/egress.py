"""The delivering half of a relay: the state directory, what waits in it, and who sends it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from relay.daemon.lifecycle.changes import sends_differently
from relay.delivery.batcher import pack
from relay.delivery.dead_letters.queue import DeadLetters
from relay.delivery.dead_letters.replayer import Replayer
from relay.delivery.sender.gate import SenderSettings, phase_of
from relay.delivery.sender.pool import SenderPool
from relay.delivery.spool.spool import Spool
from relay.delivery.state.directory import StateDirectory
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from contextlib import AsyncExitStack
    from pathlib import Path

    from relay.clock import Clock
    from relay.config.schema import Config
    from relay.delivery.sender.pool import Cloud, Transport
    from relay.ledger import Ledger, LossLog
    from relay.model import Batch, Point


class Egress:
    """State: the spool, the dead letters, and the pool that empties both."""

    def __init__(
        self,
        *,
        directory: StateDirectory | None,
        spool: Spool,
        dead_letters: DeadLetters,
        replays: Replayer,
        pool: SenderPool,
    ) -> None:
        self.directory = directory
        self.spool = spool
        self.pool = pool
        self._dead_letters = dead_letters
        self._replays = replays

    def __repr__(self) -> str:
        """Report the parts."""
        return f"<Egress {self.spool!r}, {self.pool!r}>"

    @classmethod
    async def open(  # noqa: PLR0913 - the way out, where things wait, and who counts and tells
        cls,
        config: Config,
        *,
        cloud: Cloud,
        transport: Transport,
        state: Path | None,
        is_successor: bool = False,
        ledger: Ledger,
        loss_log: LossLog,
        clock: Clock,
        closing: AsyncExitStack,
    ) -> Egress:
        """Open the state directory and recover what waits in it; `closing` takes what ends the parts, in order.

        Raises:
            RelayError: RLY104, RLY105: the state directory is not safe, or is another relay's; not of a successor,
                which goes on in memory until it can be used.
        """
        directory = None
        if state:
            directory = await asyncio.to_thread(StateDirectory.resume if is_successor else StateDirectory.open, state)
            closing.callback(directory.close)
        spool = await Spool.open(
            state, ledger=ledger, clock=clock, loss_log=loss_log, limit_bytes=config.spool.max, place=directory
        )
        closing.push_async_callback(spool.close)
        letters = DeadLetters(
            state,
            ledger=ledger,
            clock=clock,
            limit=config.spool.dead_letters,
            loss_log=loss_log,
            place=directory,
        )
        closing.push_async_callback(letters.close)
        pool = SenderPool(
            spool=spool,
            cloud=cloud,
            transport=transport,
            settings=pool_settings(config),
            dead_letters=letters,
            ledger=ledger,
            loss_log=loss_log,
            clock=clock,
            random=random.random,
        )
        closing.push_async_callback(pool.close)
        replays = Replayer(state, spool=spool, pack=pack_requests, clock=clock, loss_log=loss_log)
        return cls(directory=directory, spool=spool, dead_letters=letters, replays=replays, pool=pool)

    async def change(self, before: Config, config: Config, *, cloud: Cloud, transport: Transport) -> None:
        """Send by another configuration: new settings forget what was learned of the cloud, a new way its connections.

        Args:
            before: what was in force.
            config: what is in force now.
            cloud: the API side of that.
            transport: its way out, which is closed if nothing about the way differs.
        """
        new = pool_settings(config)
        settings = new if new != pool_settings(before) else None
        if sends_differently(before, config):
            await self.pool.replace(cloud=cloud, transport=transport, settings=settings)
        else:
            await self.pool.replace(settings=settings)
            await transport.close()

    def background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return what runs beside the pool until it is cancelled."""
        return [self.spool.run, self._dead_letters.run, self._replays.run]


def pack_requests(points: Iterable[Point], window: int) -> Iterator[Batch]:
    """Pack points into putMetricData bodies."""
    return pack(points, window=window, head=BODY_HEAD, tail=BODY_TAIL)


def pool_settings(config: Config) -> SenderSettings:
    """Return what a configuration asks of the senders."""
    phase = phase_of(config.tags.get("host", ""))
    return SenderSettings.of(config.cloud, window=config.window.seconds, phase=phase)
