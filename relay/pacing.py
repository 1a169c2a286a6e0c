"""Long work in slices, so that the event loop never stalls over 20 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from relay import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from relay.clock import Clock

T = TypeVar("T")


async def paced(
    clock: Clock, items: Iterable[T], *, between: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[T]:
    """Pull lazily made items, letting others run every 5 ms; `between` does so and more."""
    slice_ends = clock.monotonic() + limits.CLOSE_SLICE
    for item in items:
        yield item
        if clock.monotonic() >= slice_ends:
            await (between() if between else clock.sleep(0))
            slice_ends = clock.monotonic() + limits.CLOSE_SLICE
