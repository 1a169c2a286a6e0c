"""A daemon thread for disk calls that may block for good.

An executor joins its threads when the process ends, so a hanging disk would keep the relay from stopping. This thread
is a daemon and is never joined. The caller of `run` sets its own timeout.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DiskThread:
    """State: the queue of calls, and the thread, which starts with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Return what `call` returns, or raise what it raises; calls run one after the other.

        If the caller is cancelled, a queued call is skipped, and a running call goes on to its end.
        """
        if self._thread is None:
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._calls.put(partial(_call, loop, answer, partial(call, *args)))
        return await answer

    def close(self) -> None:
        """End the thread after the queued calls, without waiting for it."""
        self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            call()


def _call(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], call: Callable[[], T]) -> None:
    if answer.cancelled():
        return
    try:
        settle = partial(answer.set_result, call())
    except BaseException as error:  # noqa: BLE001 - raised again in the caller
        settle = partial(answer.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed: the result is discarded
        loop.call_soon_threadsafe(_unless_cancelled, answer, settle)


def _unless_cancelled(answer: asyncio.Future[T], settle: Callable[[], None]) -> None:
    if not answer.done():
        settle()
