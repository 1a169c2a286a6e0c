"""The batcher: every point is in one body that fits."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from relay.delivery.batcher import pack
from relay.model import Point

bodies = st.lists(st.integers(2, 400).map(lambda size: b'"' + b"x" * (size - 2) + b'"'), max_size=300)


@example([b'""'] * 4 + [b'"' + b"x" * 92 + b'"', b'"' + b"x" * 398 + b'"'], 3, 500)
@given(bodies, st.integers(1, 50), st.integers(500, 3000))
def test_every_point_is_in_one_body_that_fits(points, max_points, max_bytes):
    batches = list(
        pack(map(Point, points), window=60, head=b"[", tail=b"]", max_points=max_points, max_bytes=max_bytes)
    )
    assert [point for batch in batches for point in json.loads(batch.body)] == [json.loads(point) for point in points]
    assert all(len(batch.body) <= max_bytes and 1 <= batch.points <= max_points for batch in batches)
    assert sum(batch.points for batch in batches) == len(points)
    for batch, following in pairwise(batches):
        first = len(json.dumps(json.loads(following.body)[0]))
        assert batch.points == max_points or len(batch.body) + 1 + first > max_bytes


def test_packing_is_lazy():
    def endless():
        while True:
            yield Point(b"{}")

    assert next(pack(endless(), window=0, head=b"[", tail=b"]")).points == 50
