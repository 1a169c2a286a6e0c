"""Pack points into request bodies: as many as fit, in their order, lazily, so that a close can be paced.

Pure. It handles bytes and sizes and does not know what a point means (I4: 50 points, 256,000 bytes a request).
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
        points: encoded points, each far smaller than a request.
        window: id of the window of all these points.
        head: first bytes of each body.
        tail: last bytes of each body.
        max_points: limit of points per request.
        max_bytes: limit of bytes per body.
    """
    empty = len(head) + len(tail) - 1  # each point but the first adds a comma
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
