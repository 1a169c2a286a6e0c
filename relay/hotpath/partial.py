"""The format of rollups and gauge bases on disk: versioned, checksummed, independent frames.

    frame   = "SRP1" + length (4, little endian) + XXH3-64 of the payload (8) + payload
    payload = MessagePack array [window id, rollups, gauges, host]; the host may be absent

A damaged frame is skipped and counted; reading goes on at the next magic. An incomplete last frame is normal: power
failed while the file was written. A record that no hot path can have written counts as damaged.

Does not know: files and directories (bytes in, bytes out), which windows are open.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
import xxhash

from relay.hotpath.python.cell import Cell
from relay.hotpath.records import Frame, GaugeRecord, RollupRecord, SketchState
from relay.hotpath.sketch import Distinct, Sketch
from relay.model import Kind, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relay.hotpath.python.gauges import Base

T = TypeVar("T")

MAGIC: Final = b"SRP1"
_HEADER: Final = struct.Struct("<4sIQ")
RECORDS_PER_FRAME: Final = 256
"""Maximum number of records of a frame. One frame is about 1 ms of work: the unit of pacing."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Frame)


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Split into chunks of RECORDS_PER_FRAME items."""
    rest = iter(items)
    while chunk := list(islice(rest, RECORDS_PER_FRAME)):
        yield chunk


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of one frame."""
    return wrap(_encoder.encode(frame))


def wrap(payload: bytes) -> bytes:
    """Put the header before a payload."""
    return _HEADER.pack(MAGIC, len(payload), xxhash.xxh3_64_intdigest(payload)) + payload


def encode_head(window: int, *, host: str, deleted: Iterable[Series] = ()) -> bytes:
    """Return the first frames of a checkpoint.

    Args:
        window: id of the open window.
        host: host of this relay; a start on another host does not use the checkpoint.
        deleted: deleted series, each written as a record without samples, which a later record supersedes.
    """
    records = [to_record(series, Cell(series.kind)) for series in deleted]
    frames = [Frame(window, rollups=chunk) for chunk in chunks(records)]
    return b"".join(map(encode_frame, [Frame(window, host=host), *frames]))


def host_of(stored: bytes) -> str:
    """Return the host that wrote a checkpoint; "" if it is not recorded."""
    frames = (_decode(stored, payload) for payload in _find_payloads(stored)[0])
    return next((frame.host for frame in frames if frame and frame.host), "")


def export_cells(
    window: int, cells: Mapping[Series, Cell], *, changed: bool, now: float
) -> Iterator[tuple[int, bytes]]:
    """Yield the cells of a window as (window id, frame), at least once; an empty frame is a point to pause at.

    Args:
        window: id of the window.
        cells: may grow during iteration; new cells are left to the next export.
        changed: yield only cells that changed since their last export.
        now: receive time of the pending values.
    """
    for chunk in chunks(list(cells.items())) if cells else [[]]:
        records = [_export(series, cell, now) for series, cell in chunk if cell.is_changed() or not changed]
        records = [record for record in records if record.samples]
        yield window, encode_frame(Frame(window, rollups=records)) if records else b""


def _export(series: Series, cell: Cell, now: float) -> RollupRecord:
    cell.fold(now)
    cell.exported = cell.samples
    return to_record(series, cell)


def export_gauges(gauges: Mapping[Series, Base]) -> Iterator[bytes]:
    """Yield the bases of gauges as frames with window id 0: a base belongs to no window."""
    for chunk in chunks(list(gauges.items())):
        records = [
            GaugeRecord(
                series.metric, series.dimensions, series.derived, base.value, base.window, series.namespace, base.at
            )
            for series, base in chunk
        ]
        yield encode_frame(Frame(0, gauges=records))


def decode_frames(stored: bytes) -> tuple[list[Frame], int]:
    """Decode all frames.

    Returns:
        The frames with their valid records, and the number of damaged places and records.
    """
    payloads, damaged = _find_payloads(stored)
    decoded = [_decode(stored, payload) for payload in payloads]
    frames = [frame for frame in decoded if frame is not None]
    invalid = sum(frame.count_invalid() for frame in frames)
    whole = [frame.without_invalid() for frame in frames] if invalid else frames
    return whole, damaged + len(decoded) - len(frames) + invalid


def merge(stored: bytes, restore: Callable[[RollupRecord], bool], restore_gauge: Callable[[GaugeRecord], bool]) -> int:
    """Restore every record; return the number of damaged places and records."""
    frames, damaged = decode_frames(stored)
    for frame in frames:
        damaged += sum(not restore_gauge(record) for record in frame.gauges)
        damaged += sum(not restore(record) for record in frame.rollups if record.samples)
    return damaged


class Checkpoint:
    """State: the positions of a checkpoint's frames, and the number of damaged places.

    The frames were appended while one window was open, and a later record of a series supersedes the earlier ones.
    Iteration yields the newest record of each series and decodes one frame at a time: a file that holds each series
    many times is never decoded as a whole.
    """

    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self._payloads, self.damaged = _find_payloads(stored)

    def __iter__(self) -> Iterator[RollupRecord]:
        """Yield the newest valid record of each series, once."""
        known: set[int] = set()
        for payload in reversed(self._payloads):
            frame = _decode(self._stored, payload)
            self.damaged += frame is None
            for record in reversed(frame.rollups if frame else ()):
                key = hash(record.series())
                if key in known:
                    continue
                if record.is_valid():
                    known.add(key)
                    yield record
                else:
                    self.damaged += 1


class PartialContents(NamedTuple):
    """The result of reading a checkpoint."""

    owners: list[tuple[str, Kind, str]]
    """Owners of bare names: (metric, class, namespace)."""
    damaged: int
    """Number of damaged places and records."""
    deleted: list[Series]
    """Series deleted and not received since; the caller deletes their other state, too."""


def recover(stored: bytes, restore: Callable[[RollupRecord], bool]) -> PartialContents:
    """Restore the newest record of each series of a checkpoint."""
    checkpoint = Checkpoint(stored)
    owners, deleted = [], []
    for record in checkpoint:
        if not record.samples:
            deleted.append(record.series())
        elif not restore(record):
            checkpoint.damaged += 1
        elif not record.derived:
            owners.append((record.metric, record.kind, record.namespace))
    return PartialContents(owners, checkpoint.damaged, deleted)


_Payload = tuple[int, int]
"""Start and end of a payload in the file."""


def _find_payloads(stored: bytes) -> tuple[list[_Payload], int]:
    """Return the payloads of intact frames, and the number of damaged places between them."""
    found: list[_Payload] = []
    damaged = position = 0
    while position < len(stored):
        payload = _payload_at(stored, position)
        if payload is not None:
            found.append(payload)
            position = payload[1]
        else:
            damaged += 1
            following = stored.find(MAGIC, position + 1)
            position = len(stored) if following < 0 else following
    return found, damaged


def _payload_at(stored: bytes, position: int) -> _Payload | None:
    start = position + _HEADER.size
    if start > len(stored):
        return None
    magic, length, checksum = _HEADER.unpack_from(stored, position)
    payload = memoryview(stored)[start : start + length]
    if magic != MAGIC or len(payload) != length or xxhash.xxh3_64_intdigest(payload) != checksum:
        return None
    return start, start + length


def _decode(stored: bytes, payload: _Payload) -> Frame | None:
    try:
        return _decoder.decode(memoryview(stored)[payload[0] : payload[1]])
    except msgspec.MsgspecError:
        return None


def to_record(series: Series, cell: Cell) -> RollupRecord:
    """Return the record of a folded cell."""
    sketch, distinct = cell.sketch, cell.distinct
    return RollupRecord(
        metric=series.metric,
        dimensions=series.dimensions,
        kind=series.kind,
        derived=series.derived,
        samples=cell.samples,
        count=cell.count,
        total=cell.total,
        low=cell.low,
        high=cell.high,
        last=cell.last,
        last_at=cell.last_at,
        sketch=None if sketch is None else _sketch_state(sketch),
        hashes=None if distinct is None or distinct.hashes is None else sorted(distinct.hashes),
        registers=b"" if distinct is None else bytes(distinct.registers),
        namespace=series.namespace,
    )


def from_record(record: RollupRecord) -> tuple[Series, Cell]:
    """Return the series of a record, and a cell for `Cell.merge`."""
    cell = Cell(record.kind)
    cell.samples, cell.count, cell.total = record.samples, record.count, record.total
    cell.low, cell.high, cell.last, cell.last_at = record.low, record.high, record.last, record.last_at
    if record.sketch is not None:
        cell.sketch = _sketch(record.sketch)
    if record.kind is Kind.SET:
        cell.distinct = Distinct()
        cell.distinct.hashes = None if record.hashes is None else set(record.hashes)
        cell.distinct.registers = bytearray(record.registers)
    return record.series(), cell


def _sketch_state(sketch: Sketch) -> SketchState:
    return SketchState(sketch.exact, sketch.positive, sketch.negative, sketch.zero, sketch.low, sketch.high)


def _sketch(state: SketchState) -> Sketch:
    sketch = Sketch()
    sketch.exact, sketch.positive, sketch.negative = state.exact, state.positive, state.negative
    sketch.zero, sketch.low, sketch.high = state.zero, state.low, state.high
    return sketch
