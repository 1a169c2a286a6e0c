"""Long work in slices, so that the event loop never stalls over 20 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from relay import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from relay.clock import Clock

T = TypeVar("T")


async def paced(clock: Clock, items: Iterable[T], *, on_slice: Callable[[], None] | None = None) -> AsyncIterator[T]:
    """Pull lazily made items, letting others run every 5 ms; `on_slice` is told each time."""
    slice_ends = clock.monotonic() + limits.CLOSE_SLICE
    for item in items:
        yield item
        if clock.monotonic() >= slice_ends:
            await clock.sleep(0)
            if on_slice:
                on_slice()
            slice_ends = clock.monotonic() + limits.CLOSE_SLICE
