"""A disk that refuses and stalls: calls of the classes that write files fail or wait, everything else is real.

Modes: `refuse` refuses every write; `keep` refuses to write and to remove checkpoints only; `fail` writes and then
raises an error; `stall` makes calls wait until the disk is well, and does them then; `hang` does them first and then
waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from relay.delivery.spool.database import Database
from relay.delivery.spool.errors import DiskTrouble
from relay.delivery.state.checkpoint import CheckpointFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATENCY = 0.004
WRITES = {
    CheckpointFiles: ("drop", "append", "replace", "move", "probe", "set_aside"),
    Database: ("connect", "write", "delete", "restore_reserve", "set_aside"),
}


class FailingDisk:
    """State: the mode."""

    def __init__(self) -> None:
        self.mode = "well"
        self._well = asyncio.Event()
        self._well.set()

    def become(self, mode: str) -> None:
        self.mode = mode
        (self._well.clear if mode in ("stall", "hang") else self._well.set)()

    async def do(self, call: Callable[[], object]) -> object:
        """Make a call as a thread would, at the speed of this disk."""
        await asyncio.sleep(LATENCY)
        if self.mode != "hang":
            await self._well.wait()
            return call()
        try:
            return call()
        finally:
            await self._well.wait()

    def write(self, call: Callable[..., object], *args: object, **options: object) -> object:
        """Make a call that writes; it may raise an error."""
        error = OSError(errno.EROFS if self.mode == "refuse" else errno.EIO, os.strerror(errno.EIO))
        if isinstance(args[0], Database):
            error = DiskTrouble("io", "the disk refuses")
        if self.mode == "refuse" or (self.mode == "keep" and isinstance(args[0], CheckpointFiles)):
            raise error
        answer = call(*args, **options)
        if self.mode == "fail":
            raise error
        return answer


class DiskThread:
    """DiskThread on the event loop: calls run one by one; a running call goes on when its caller is cancelled."""

    disk: FailingDisk

    def __init__(self, name: str) -> None:
        self._calls: deque[tuple[asyncio.Future, Callable[[], object]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def run(self, call: Callable, *args: object) -> object:
        answer = asyncio.get_running_loop().create_future()
        self._calls.append((answer, lambda: call(*args)))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    def close(self) -> None:
        """Nothing is open."""

    async def _work(self) -> None:
        while self._calls:
            answer, call = self._calls.popleft()
            if answer.cancelled():
                continue
            try:
                result, error = await self.disk.do(call), None
            except Exception as raised:  # noqa: BLE001 - raised in the caller
                result, error = None, raised
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(result)


@contextmanager
def installed(disk: FailingDisk) -> Iterator[None]:
    """Let every relay opened in this block write to the disk."""

    def sick(real: Callable) -> Callable:
        return lambda *args, **options: disk.write(real, *args, **options)

    modules = ("delivery.spool.writer", "delivery.state.checkpoint", "daemon.lifecycle.recovery")
    threads = [f"relay.{module}.DiskThread" for module in modules]
    patches = [patch.object(owner, name, sick(vars(owner)[name])) for owner, names in WRITES.items() for name in names]
    patches += [patch(where, type("DiskThread", (DiskThread,), {"disk": disk})) for where in threads]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()
