"""Points become request bodies: as many as fit, in the order they come, made lazily so that a close can be paced.

Pure, and blind to what a point means: bytes and sizes only (I4: 50 points, 256,000 bytes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay import limits
from relay.model import Batch, Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def pack(
    points: Iterable[Point],
    *,
    window: int,
    head: bytes,
    tail: bytes,
    max_points: int = limits.POINTS_PER_REQUEST,
    max_bytes: int = limits.REQUEST_BYTES,
) -> Iterator[Batch]:
    """Yield one batch per request.

    Args:
        points: encoded, each far smaller than a request.
        window: id of the window they belong to.
        head: what a body begins with.
        tail: what it ends with.
        max_points: of one request.
        max_bytes: of one request's body.
    """
    empty = len(head) + len(tail) - 1  # each point adds a comma, but the first
    chosen: list[bytes] = []
    size = empty
    for point in points:
        if chosen and (len(chosen) == max_points or size + len(point.body) + 1 > max_bytes):
            yield _batch(chosen, window, head, tail)
            chosen, size = [], empty
        chosen.append(point.body)
        size += len(point.body) + 1
    if chosen:
        yield _batch(chosen, window, head, tail)


def _batch(bodies: list[bytes], window: int, head: bytes, tail: bytes) -> Batch:
    return Batch(window=window, points=len(bodies), body=head + b",".join(bodies) + tail)
