"""The window that was open when a relay died is recovered under its id, with bases of gauges and classes of names."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from structlog.testing import capture_logs

from relay.daemon.lifecycle.recovery import PendingCheckpoints, Recovery
from relay.delivery.batcher import pack
from relay.delivery.state.checkpoint import Checkpoint, CheckpointFiles
from relay.hotpath import partial
from relay.hotpath.partial import encode_head
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL, PointEncoder
from relay.model import Identity, Kind
from relay.naming import Namer, NamingSettings
from relay.naming.ruleset import Ruleset
from relay.window.closer import Closer
from relay.window.protocols import Pipeline
from tests.support import hotpath
from tests.support.context import make_context
from tests.support.hotpath import exported, make
from tests.support.spool import open_spool

MINUTE = 1_764_000_000


class Stored:
    """A spool that stores bodies."""

    def __init__(self):
        self.windows = {}
        self.state = {}

    @property
    def committed(self):
        return self.windows.keys()

    async def store(self, window, batches, state, *, samples):
        assert window not in self.windows
        self.windows[window] = b"".join(batch.body for batch in batches)
        self.state = state


class House:
    """The parts that app.py joins, without sockets and senders."""

    def __init__(self, directory, clock, *, name, resume=None):
        context = make_context(clock)
        self.ledger, self.spool, self.name = context.ledger, Stored(), name
        settings = NamingSettings(
            prefix="",
            kind_prefixes={},
            tags={"host": "h"},
            dialects=["statsd", "dogstatsd"],
            strict=False,
            reserved_prefix="relay",
            classes_limit=1000,
            classes_memory=1 << 20,
        )
        self.namer = Namer(settings, Ruleset([], re2=None), ledger=self.ledger)
        self.hotpath = make(name)
        encoder = PointEncoder(namespace="n", output="aggregate", counter_values="total", percentiles=[])
        self.closer = Closer(
            seconds=60,
            hotpath=self.hotpath,
            pipeline=Pipeline(self.namer, encoder.encode_window),
            pack=lambda points, window: pack(points, window=window, head=BODY_HEAD, tail=BODY_TAIL),
            spool=self.spool,
            context=context,
            on_closed=lambda _: None,
            resume=resume,
        )
        self.recovery = Recovery(
            hotpath=self.hotpath,
            make_hotpath=lambda: make(name),
            namer=self.namer,
            closer=self.closer,
            context=context,
            files=CheckpointFiles(directory),
        )

    def feed(self, *lines):
        self.hotpath.feed(b"\n".join(lines), MINUTE + 1.0)
        while identities := self.hotpath.unresolved(100):
            self.hotpath.resolve([(identity, self.namer.resolve(identity)) for identity in identities])

    def checkpoint(self):
        return Checkpoint(window=self.closer.open_id, frames=exported(self.hotpath))


@pytest.fixture(params=["native", "python"])
def name(request):
    return request.param


def restarted(tmp_path, clock, name, *found):
    pending = PendingCheckpoints.partition(found, wall=clock.wall(), seconds=60)
    return House(tmp_path, clock, name=name, resume=pending.resume), pending


async def test_an_open_window_continues(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c", b"load:5|g")
    after, pending = restarted(tmp_path, clock, name, before.checkpoint())
    with capture_logs() as said:
        await after.recovery.restore(pending)
    assert said == [{"event": "window recovered", "log_level": "info", "window": MINUTE, "samples": 2}]
    after.feed(b"hits:3|c", b"load:+1|g")
    assert after.closer.open_id == MINUTE
    assert after.hotpath.tally().samples_open == 4
    await after.closer.close()
    assert b'"metric":"hits","dimensions":{"host":"h"},"timestamp":1764000000' in after.spool.windows[MINUTE]
    assert b'"sum":5' in after.spool.windows[MINUTE]
    assert b'"last":6' in after.spool.windows[MINUTE]


async def test_a_window_that_is_over_closes_at_once_under_its_own_id(tmp_path, clock, name):
    """Lines received meanwhile belong to the present window; gauges continue from the newest value."""
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c", b"load:5|g")
    first = before.checkpoint()
    await before.closer.close()
    before.feed(b"hits:1|c", b"load:7|g")
    clock.advance(7200)
    after, pending = restarted(tmp_path, clock, name, first, before.checkpoint())
    after.hotpath.feed(b"hits:50|c\nload:+1|g", clock.wall())
    await after.recovery.restore(pending)
    assert {window: body.count(b'"metric":"hits"') for window, body in after.spool.windows.items()} == {
        MINUTE: 1,
        MINUTE + 60: 1,
    }
    after.feed(b"hits:50|c")
    assert after.closer.open_id == MINUTE + 7200
    assert after.ledger.samples_recovered == after.ledger.samples_closed == 4
    await after.closer.close()
    assert b'"sum":100' in after.spool.windows[MINUTE + 7200]
    assert b'"last":8' in after.spool.windows[MINUTE + 7200]


async def test_stored_bases_yield_to_newer_ones(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"load:5|g", b"other:1|g")
    await before.closer.close()
    gauges = before.spool.state["gauges"]
    before.feed(b"load:9|g")
    clock.advance(61)
    after, pending = restarted(tmp_path, clock, name, before.checkpoint())
    await after.recovery.restore(replace(pending, gauges=gauges))
    after.feed(b"load:+1|g", b"other:+1|g")
    rows = {series.metric: rollup.last for part in after.hotpath.snapshot() for series, rollup in part}
    assert rows == {"load": 10, "other": 2}


async def test_a_name_keeps_its_class(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"x:1|c", b"x:1|ms")
    after, pending = restarted(tmp_path, clock, name, before.checkpoint())
    await after.recovery.restore(pending)
    assert after.namer.resolve(Identity(b"x", Kind.TIMER, b"")).series.metric == "x.timer"


async def test_a_damaged_file_is_set_aside_and_the_rest_recovered(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c")
    found = Checkpoint(window=MINUTE, frames=before.checkpoint().frames + b"torn")
    CheckpointFiles(tmp_path).replace(MINUTE, [found.frames])
    after, pending = restarted(tmp_path, clock, name, found)
    await after.recovery.restore(pending)
    assert after.hotpath.tally().samples_open == 1
    [kept] = tmp_path.glob("*.damaged-*")
    assert kept.read_bytes() == found.frames


async def test_deleted_series_are_not_recovered(tmp_path, clock, name):
    """Neither its samples in the open window nor an older base of a gauge, unless it was received again."""
    before = House(tmp_path, clock, name=name)
    before.feed(b"gone:100|c", b"load:5|g", b"again:7|g", b"idle:3|g", b"stays:1|g")
    stored = b"".join(before.hotpath.export_gauges())
    series = [series for part in before.hotpath.gauges() for series, _ in part]
    deleted = [one for one in series if one.metric != "stays"] + before.hotpath.list_series(0, 1)
    before.hotpath.delete(deleted)
    before.feed(b"again:2|g")
    frames = encode_head(MINUTE, host="h", deleted=deleted) + exported(before.hotpath)
    after, pending = restarted(tmp_path, clock, name, Checkpoint(window=MINUTE, frames=frames))
    await after.recovery.restore(replace(pending, gauges=stored))
    assert {series.metric: value for part in after.hotpath.gauges() for series, value in part} == {
        "stays": 1,
        "again": 2,
    }
    assert not [series for series in after.hotpath.list_series(0, 100) if series.metric == "gone"]


async def found_by(tmp_path, clock, *, host):
    spool = await open_spool(tmp_path)
    pending = await PendingCheckpoints.find(CheckpointFiles(tmp_path), spool, host=host, wall=clock.wall(), seconds=60)
    await spool.close()
    return pending


async def test_another_hosts_window_and_gauges_are_not_used(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c", b"load:5|g")
    stored = b"".join(before.hotpath.export_gauges())
    spool = await open_spool(tmp_path)
    await spool.store(MINUTE - 60, [], {"gauges": stored, "host": b"h"})
    await spool.close()
    files = CheckpointFiles(tmp_path)
    files.replace(MINUTE, [encode_head(MINUTE, host="h"), exported(before.hotpath)])
    ours = await found_by(tmp_path, clock, host="h")
    assert (ours.resume, ours.foreign, ours.recorded) == (MINUTE, (), True)
    other = await found_by(tmp_path, clock, host="other")
    assert (other.resume, other.over, other.recorded, files.windows()) == (None, (), False, [])
    after = House(tmp_path, clock, name=name, resume=other.resume)
    with capture_logs() as said:
        await after.recovery.restore(other)
    assert (after.ledger.samples_recovered, after.ledger.samples_dropped) == (2, {"other_host": 2})
    assert [(event["host"], event.get("samples"), event.get("gauges")) for event in said] == [
        ("h", 2, None),
        ("h", None, 1),
    ]
    assert not [part for part in after.hotpath.gauges() if part]


async def test_with_an_unreadable_directory_the_current_window_is_skipped(tmp_path, clock):
    """An earlier worker may have left a part of it there, which the next start will send."""
    spool = await open_spool(tmp_path)
    await spool.store(MINUTE - 60, [], {"host": b"h"})
    files = CheckpointFiles(tmp_path / "nowhere")
    pending = await PendingCheckpoints.find(files, spool, host="h", wall=clock.wall(), seconds=60)
    assert (pending.windows, pending.recorded, pending.parts) == ([], False, (MINUTE,))
    await spool.close()


async def test_without_the_database_checkpoints_are_no_record_of_later_windows(tmp_path, clock):
    """An empty file means that its window was committed. Whether the database had later ones is unknown."""
    files = CheckpointFiles(tmp_path)
    files.replace(MINUTE - 60, [encode_head(MINUTE - 60, host="h")])
    files.path(MINUTE - 120).touch()
    spool = await open_spool(tmp_path)
    pending = await PendingCheckpoints.find(files, spool, host="h", wall=clock.wall(), seconds=60)
    assert (pending.windows, pending.recorded, pending.parts) == ([MINUTE - 60], False, (MINUTE - 60,))
    assert spool.committed == {MINUTE - 120}
    await spool.close()


async def test_a_checkpoint_names_its_host(tmp_path, clock, name):
    """The database was set aside, or is of an older release: only the checkpoint names the host."""
    files = CheckpointFiles(tmp_path)
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c")
    files.replace(MINUTE, [encode_head(MINUTE, host="h"), exported(before.hotpath)])
    assert [one.window for one in (await found_by(tmp_path, clock, host="other")).foreign] == [MINUTE]
    files.replace(MINUTE, [exported(before.hotpath)])
    assert (await found_by(tmp_path, clock, host="other")).resume == MINUTE


async def test_an_invalid_record_is_set_aside_and_the_rest_recovered(tmp_path, clock, name):
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c", b"load:5|ms")
    [frame] = partial.decode_frames(before.checkpoint().frames)[0]
    crafted = [msgspec.structs.replace(record, total=math.nan, metric="bad") for record in frame.rollups]
    stored = before.checkpoint().frames + partial.encode_frame(msgspec.structs.replace(frame, rollups=crafted))
    found = Checkpoint(window=MINUTE, frames=stored)
    CheckpointFiles(tmp_path).replace(MINUTE, [stored])
    after, pending = restarted(tmp_path, clock, name, found)
    await after.recovery.restore(pending)
    assert after.hotpath.tally().samples_open == 2
    [kept] = tmp_path.glob("*.damaged-*")
    assert kept.read_bytes() == stored


async def test_damaged_bases_are_reported(tmp_path, clock, name):
    series = [partial.GaugeRecord(one, (("host", "h"),), False, 5.0, MINUTE) for one in ("load", "bad")]
    bad = msgspec.structs.replace(series[1], value=math.nan)
    after, pending = restarted(tmp_path, clock, name)
    with capture_logs() as said:
        stored = partial.encode_frame(partial.Frame(0, gauges=[series[0], bad]))
        await after.recovery.restore(replace(pending, gauges=stored))
    assert [(line["event"], line["gauges"]) for line in said] == [
        ("stored gauges are damaged, the others are recovered", 1)
    ]
    assert [series.metric for part in after.hotpath.gauges() for series, _ in part] == ["load"]


def test_pending_windows_are_partitioned_by_the_clock():
    found = [Checkpoint(window=MINUTE + 60 * n, frames=b"") for n in range(4)]
    pending = PendingCheckpoints.partition(found, wall=MINUTE + 230.0, seconds=60)
    assert [each.window for each in pending.over] == [MINUTE, MINUTE + 60, MINUTE + 120]
    assert pending.resume == MINUTE + 180
    assert PendingCheckpoints.partition(found, wall=MINUTE + 240.0, seconds=60) == PendingCheckpoints(
        over=tuple(found), open=None
    )
    assert PendingCheckpoints.partition([], wall=0.0, seconds=60) == PendingCheckpoints(over=(), open=None)
    assert PendingCheckpoints.partition(found[:1], wall=0.0, seconds=60).resume == MINUTE


def test_a_window_of_a_clock_that_was_not_set_is_not_over():
    assert (
        PendingCheckpoints.partition([Checkpoint(window=60, frames=b"")], wall=float(MINUTE), seconds=60).resume == 60
    )


async def test_of_two_windows_that_are_not_over_the_older_one_is_closed(tmp_path, clock, name):
    """If it joined the other, its file would be recovered again by the next start."""
    before = House(tmp_path, clock, name=name)
    before.feed(b"hits:2|c")
    first = before.checkpoint()
    await before.closer.close()
    before.feed(b"hits:3|c")
    after, pending = restarted(tmp_path, clock, name, first, before.checkpoint())
    await after.recovery.restore(pending)
    assert after.spool.windows.keys() == {MINUTE}
    assert after.closer.open_id == MINUTE + 60
    assert after.hotpath.tally().samples_open == 1


def test_both_hot_paths_are_tested():
    assert hotpath.implementation_of("native").name == "native"
