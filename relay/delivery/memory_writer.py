"""The writer of a relay without a state directory: bodies are in memory and nowhere else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relay.delivery.pending import Job, Pending

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relay.delivery.bodies import Bodies, Row


class MemoryWriter:
    """State: what was handed over. The counterpart of `Writer`, which explains each method."""

    trouble = ""
    generation = 0
    room = None

    def __init__(self) -> None:
        self._pending = Pending()

    def __repr__(self) -> str:
        """Report what is in memory."""
        return f"<MemoryWriter {self.bodies!r}>"

    @property
    def bodies(self) -> Bodies:
        """What is in memory."""
        return self._pending.bodies

    async def open(self) -> Collection[int]:
        """Nothing was kept from before."""
        return ()

    async def add(self, job: Job, state: Mapping[str, bytes]) -> None:
        """Keep it."""
        self._pending.pin(job.rows, state)

    def keep(self, row: Row, *, generation: int) -> None:
        """It never left."""

    def forget(self, id_: int) -> bool:
        """Let go of a batch."""
        self.bodies.drop(id_)
        return False

    def may_read(self) -> bool:
        """Nothing is ever read: everything is at hand."""
        return True

    async def read(self, id_: int) -> bytes | None:  # noqa: ARG002 - as Writer's
        """There is no disk it could be on."""
        return None

    async def state(self, key: str) -> bytes | None:
        """Return what was stored last under a key."""
        return self._pending.state.get(key)

    async def run(self) -> None:
        """There is no task that could end."""
        await asyncio.Event().wait()

    def note_stall(self) -> None:
        """There is no disk."""

    async def finish(self, within: float) -> None:
        """Nothing can be written."""

    async def close(self) -> None:
        """Nothing is open."""
