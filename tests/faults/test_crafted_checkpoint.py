"""Row 48: a checkpoint with valid checksums and with values that no hot path writes."""

from __future__ import annotations

import asyncio
import math

from relay.hotpath import partial
from relay.hotpath.records import Frame, RollupRecord, SketchState
from relay.model import Kind
from tests.support.state import LONG_WINDOW, checkpointed, recorded


def record(kind: Kind, number: int, **changes) -> RollupRecord:
    fields = {
        "samples": 3, "count": 3.0, "total": 3.0, "low": 1.0, "high": 1.0, "last": 1.0, "last_at": 1_764_000_000.0,
        "sketch": None, "hashes": None, "registers": b"", **changes,
    }  # fmt: skip
    return RollupRecord(f"crafted{number}", (("host", "h"),), kind, False, **fields)


def sketch(**changes) -> SketchState:
    return SketchState(
        **{"exact": None, "positive": {}, "negative": {}, "zero": 0.0, "low": 1.0, "high": 1.0} | changes
    )


CRAFTED = [
    record(kind, number, **changes)
    for number, (kind, changes) in enumerate(
        [
            (Kind.TIMER, {"sketch": sketch(exact=[(1.0, 1.0)] * 40_000), "samples": 40_000}),
            (Kind.SET, {"registers": b"\xff" * 16_384}),
            (Kind.SET, {"sketch": sketch(exact=[(1.0, 1.0)])}),
            (Kind.SET, {"sketch": sketch(positive={1: 1.0}), "hashes": [1]}),
            (Kind.COUNTER, {"total": math.nan}),
            (Kind.GAUGE, {"last": math.nan}),
            (Kind.TIMER, {"sketch": sketch(positive={2**40: 1.0})}),
            (Kind.COUNTER, {"samples": 2**63}),
        ]
    )
]


async def test_row_48_crafted_checkpoint(start, emulator, figure, tmp_path):
    state = tmp_path / "state"
    recorded(state)
    relay = start(WINDOW_SECONDS=str(LONG_WINDOW), WINDOW_CHECKPOINT="100ms")
    relay.send(b"good:1|c\ngood:2|c")
    await relay.wait_for(relay_accepted_lines_total=2)
    await checkpointed(state, 2)
    await asyncio.to_thread(relay.kill)
    [checkpoint] = state.glob("checkpoint-*.srp")
    window = int(checkpoint.stem.removeprefix("checkpoint-"))
    stored = checkpoint.read_bytes() + partial.encode_frame(Frame(window, CRAFTED))
    checkpoint.write_bytes(stored)
    await asyncio.to_thread(relay.start)
    assert (await relay.wait_for())['relay_samples{state="open"}'] == 2
    relay.send(b"good:4|c")
    await relay.wait_for(relay_accepted_lines_total=1)
    assert await relay.stop() == 0
    assert [path.read_bytes() for path in state.glob("checkpoint-*.damaged-*")] == [stored]
    assert "RLY412" in relay.text()
    assert emulator.total("good") == 7
    assert [emulator.total(record.metric) for record in CRAFTED] == [0] * len(CRAFTED)
    figure(48, f"{len(CRAFTED)} crafted records left out, the good one recovered")
