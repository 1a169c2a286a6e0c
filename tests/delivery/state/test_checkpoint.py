"""Checkpoints: files are appended to, written anew, renamed and void; and the disk may refuse."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from relay import limits
from relay.delivery.state import checkpoint
from relay.delivery.state.checkpoint import Checkpointer, CheckpointFiles
from relay.delivery.state.checkpointed_windows import CheckpointedWindows
from relay.hotpath import partial
from tests.support.context import make_context
from tests.support.hotpath import NOW, START, make, name_all


@pytest.fixture
def files(tmp_path) -> CheckpointFiles:
    return CheckpointFiles(tmp_path)


def keep_files(patch) -> None:
    """Let files neither be removed nor emptied."""
    patch.setattr(os, "unlink", lambda *_, **__: refuse(None))
    patch.setattr(CheckpointFiles, "_empty", lambda *_: False)


async def nothing() -> None:
    """Name no identity."""


class Kept:
    """A checkpointer of a real hot path in a real directory."""

    def __init__(self, files, clock, interval=1.0, name="native") -> None:
        self.hotpath = make(name)
        self.void = set()
        self.files = files
        self.checkpointed = CheckpointedWindows()
        self.checkpointer = Checkpointer(
            files,
            hotpath=self.hotpath,
            void=lambda: self.void,
            interval=interval,
            context=make_context(clock),
            head=lambda window, deleted: partial.encode_head(window, host="h", deleted=deleted),
            checkpointed=self.checkpointed,
        )

    def feed(self, *lines: bytes) -> None:
        self.hotpath.feed(b"\n".join(lines), NOW)
        name_all(self.hotpath)

    def stored(self) -> dict[int, dict[str, int]]:
        """Samples by series by window, as a start would find them."""
        return {
            found.window: {record.metric: record.samples for record in partial.Checkpoint(found.frames)}
            for found in self.files.load(self.void)
        }


@pytest.fixture(params=["native", "python"])
async def kept(request, files, clock):
    kept = Kept(files, clock, name=request.param)
    yield kept
    await kept.checkpointer.close()


async def test_fed_samples_are_on_disk_after_each_save(kept):
    kept.feed(b"a:1|c", b"b:1|c")
    assert await kept.checkpointer.save()
    kept.feed(b"a:1|c", b"c:1|c")
    assert await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 2, "b": 1, "c": 1}}
    assert kept.files.path(START).stat().st_mode & 0o777 == 0o600


async def test_a_deletion_is_in_the_next_save(kept):
    """Also of the last series of the window, and of one that was saved again while the save was under way."""
    kept.feed(b"a:1|c", b"b:1|c")
    await kept.checkpointer.save()
    for metric, left in (("a", {"a": 0, "b": 1}), ("b", {"a": 0, "b": 0})):
        deleted = [one for one in kept.hotpath.list_series(0, 9) if one.metric == metric]
        kept.checkpointer.record_deleted(START, kept.hotpath.delete(deleted))
        await kept.checkpointer.save()
        assert kept.stored() == {START: left}
    kept.feed(b"a:5|c")
    await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 1, "b": 0}}
    await kept.checkpointer.save(everything=True)
    assert kept.stored() == {START: {"a": 1, "b": 0}}


async def test_a_deletion_during_a_save_is_in_the_one_after_it(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.feed(b"a:1|c")
    saving = asyncio.create_task(kept.checkpointer.save())
    await asyncio.sleep(0)
    kept.checkpointer.record_deleted(START, kept.hotpath.delete(kept.hotpath.list_series(0, 9)))
    await saving
    await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 0}}


async def test_a_deletion_belongs_to_the_window_that_was_open(kept):
    """A base that was stored with it is of after the deletion."""
    kept.feed(b"a:1|c")
    kept.checkpointer.record_deleted(START, kept.hotpath.delete(kept.hotpath.list_series(0, 9)))
    kept.hotpath.close_window(START + 60)
    kept.hotpath.closed_window()
    kept.void.add(START)
    kept.feed(b"b:1|c")
    for _ in range(2):
        await kept.checkpointer.save(everything=True)
        assert kept.stored() == {START + 60: {"b": 1}}


async def test_a_committed_window_is_void_and_its_file_goes(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.hotpath.close_window(START + 60)
    kept.hotpath.closed_window()
    kept.feed(b"a:5|c")
    kept.void.add(START)
    await kept.checkpointer.save()
    assert kept.stored() == {START + 60: {"a": 1}}
    assert kept.files.windows() == [START + 60]


async def test_two_windows_are_pending_when_the_first_was_not_committed(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.hotpath.close_window(START + 60)
    kept.feed(b"a:5|c", b"b:5|c")
    await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 1}, START + 60: {"a": 1, "b": 1}}


async def test_a_window_that_ends_during_a_save_keeps_its_earlier_frames(kept, monkeypatch):
    lines = [b"m%d:1|c" % n for n in range(1000)]
    kept.feed(*lines)
    await kept.checkpointer.save()
    frames = kept.hotpath.export()

    def export(*, changed):
        yield next(frames)
        kept.hotpath.close_window(START + 60)
        yield from frames

    monkeypatch.setattr(kept.checkpointer, "_hotpath", type("Closing", (), {"export": staticmethod(export)}))
    await kept.checkpointer.save(everything=True)
    assert kept.stored() == {START: {f"m{n}": 1 for n in range(1000)}}


async def test_a_moved_window_takes_its_file_along(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.hotpath.open_window(START - 3600)
    await kept.checkpointer.move(START, START - 3600)
    assert kept.stored() == {START - 3600: {"a": 1}}
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    assert kept.stored() == {START - 3600: {"a": 2}}


async def test_a_file_never_grows_far_beyond_its_live_size(kept, monkeypatch):
    monkeypatch.setattr(checkpoint, "_SLACK", 1000)
    sizes = []
    for _ in range(200):
        kept.feed(*(b"m%d:1|c" % n for n in range(20)))
        await kept.checkpointer.save()
        sizes.append(kept.files.path(START).stat().st_size)
    assert max(sizes) < 4 * sizes[0] + 2000
    assert kept.stored() == {START: {f"m{n}": 200 for n in range(20)}}


async def test_a_save_refused_by_a_full_disk_is_written_as_a_whole_later(kept, monkeypatch):
    kept.feed(b"a:1|c", b"b:1|c")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        assert not await kept.checkpointer.save()
    kept.feed(b"a:1|c")
    assert await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 2, "b": 1}}


async def test_an_unfinished_file_is_removed(kept, monkeypatch, tmp_path):
    kept.feed(b"a:1|c")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        assert not await kept.checkpointer.save()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"checkpoint-{START}.new").write_bytes(b"the process was killed")
    assert kept.files.load({}) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_keeps_no_void_checkpoint(kept, monkeypatch):
    """A window that was sent from memory must not come back with another value."""
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.hotpath.close_window(START + 60)
    kept.feed(b"a:1|c")
    kept.void.add(START)
    monkeypatch.setattr(os, "fdatasync", refuse)
    assert not await kept.checkpointer.save()
    assert not kept.files.path(START).exists()


async def test_a_disk_that_refuses_removals_does_not_keep_a_relay_from_stopping(kept, monkeypatch):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.void.add(START)
    keep_files(monkeypatch)
    await kept.checkpointer.drop_void()
    assert kept.files.windows() == [START]


async def test_a_file_that_cannot_be_removed_is_emptied_and_says_that_its_window_is_committed(kept, monkeypatch):
    """The database may be lost by the next start, which would send the window again."""
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.void.add(START)
    monkeypatch.setattr(os, "unlink", lambda *_, **__: refuse(None))
    await kept.checkpointer.drop_void()
    assert START not in kept.checkpointed
    assert (kept.files.windows(), kept.files.void(), kept.files.load(set())) == ([], [START], [])
    monkeypatch.undo()
    kept.files.load({START + 60})
    assert kept.files.void() == [START], "it is all that is known of this window"
    kept.files.load({START + limits.POINT_AGE_MAX + 60})
    assert kept.files.void() == []


async def test_a_checkpoint_is_void_as_soon_as_its_window_is_stored(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.void.add(START)
    running = asyncio.create_task(kept.checkpointer.run_removals())
    kept.checkpointed.notify_void()
    async with asyncio.timeout(10):
        while START in kept.checkpointed:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_a_window_may_be_on_disk_from_its_first_try_until_its_file_is_gone(kept, monkeypatch):
    kept.feed(b"a:1|c")
    monkeypatch.setattr(kept.files.__class__, "replace", lambda *_: seen.append(START in kept.checkpointed) or 1)
    seen = []
    await kept.checkpointer.save()
    assert seen == [True]
    monkeypatch.undo()
    await kept.checkpointer.save(everything=True)
    kept.void.add(START)
    with monkeypatch.context() as patch:
        keep_files(patch)
        await kept.checkpointer.drop_void()
        assert START in kept.checkpointed
    await kept.checkpointer.drop_void()
    assert START not in kept.checkpointed


async def test_a_disk_that_refuses_holds_nothing_of_the_windows_that_begin_meanwhile(kept, monkeypatch):
    """They are sent from memory, so the disk must be tried with a probe file and not with their checkpoint."""
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        kept.feed(b"a:1|c")
        assert not await kept.checkpointer.save()
        assert kept.checkpointer.is_failing
        kept.hotpath.close_window(START + 60)
        kept.hotpath.closed_window()
        patch.setattr(kept.files.__class__, "replace", lambda *_: pytest.fail("a window's checkpoint was tried"))
        kept.feed(b"b:1|c")
        assert not await kept.checkpointer.save()
    assert START in kept.checkpointed
    assert START + 60 not in kept.checkpointed
    assert await kept.checkpointer.save()
    assert not kept.checkpointer.is_failing
    assert kept.stored()[START + 60] == {"b": 1}


async def test_a_disk_that_hangs_refuses_until_it_answers(kept, monkeypatch, clock):
    released = threading.Event()
    kept.feed(b"a:1|c")
    with monkeypatch.context() as patch:
        patch.setattr(kept.files.__class__, "replace", lambda *_: released.wait(60) and 1)
        patch.setattr(checkpoint, "STALL", 0.5)
        await kept.checkpointer.try_save()
        clock.advance(1)
        assert kept.checkpointer.is_failing
        assert START in kept.checkpointed
        released.set()
    await kept.checkpointer.save(everything=True)
    assert not kept.checkpointer.is_failing


async def test_a_first_checkpoint_that_failed_leaves_nothing(kept, monkeypatch):
    kept.feed(b"a:1|c")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        assert not await kept.checkpointer.save()
    assert START not in kept.checkpointed


async def test_a_window_keeps_its_id_while_its_file_cannot_be_renamed(kept, monkeypatch):
    """It would be sent under the new id, and its checkpoint under the old one, by the next start."""
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_, **__: refuse(None))
        assert not await kept.checkpointer.move(START, START - 3600)
    assert await kept.checkpointer.save()
    assert await kept.checkpointer.move(START, START - 3600)
    assert kept.files.windows() == [START - 3600]


async def test_a_file_that_was_removed_is_written_anew_as_a_whole(kept):
    kept.feed(b"a:1|c")
    await kept.checkpointer.save()
    kept.files.path(START).unlink()
    kept.feed(b"b:1|c")
    await kept.checkpointer.save()
    await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 1, "b": 1}}


def refuse(_):
    raise OSError(28, "No space left on device")


async def test_large_checkpoints_are_written_less_often(files, clock):
    kept = Kept(files, clock)
    kept.checkpointer._pace(8 * 1024 * 1024 * 3)
    assert kept.checkpointer.interval == 3
    kept.checkpointer._pace(10**12)
    assert kept.checkpointer.interval == 15
    kept.checkpointer._pace(100)
    assert kept.checkpointer.interval == 1
    await kept.checkpointer.close()


async def test_the_file_of_a_resumed_window_is_written_anew_after_a_save_with_nothing(kept):
    """Frames behind a damaged part may be lost, and the copy that is kept of it has the same content."""
    kept.files.replace(START, [b"damaged"])
    copy = kept.files.set_aside(START)
    kept.checkpointed.replace([START])
    assert await kept.checkpointer.save()
    kept.feed(b"a:1|c")
    assert await kept.checkpointer.save()
    assert kept.stored() == {START: {"a": 1}}
    assert copy.read_bytes() == b"damaged"
    assert b"damaged" not in kept.files.read(START)


async def test_it_saves_by_itself(files, clock):
    kept = Kept(files, clock)
    kept.feed(b"a:1|c")

    async def before():
        pass

    running = asyncio.create_task(kept.checkpointer.run(before))
    while not files.windows():
        await asyncio.sleep(0.001)
    running.cancel()
    await kept.checkpointer.close()
    assert kept.stored()[START] == {"a": 1}


def test_links_and_foreign_files_are_ignored(files, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    files.path(60).symlink_to(secret)
    (tmp_path / "checkpoint-x.srp").write_bytes(b"x")
    (tmp_path / "checkpoint-120.srp.damaged-1").write_bytes(b"x")
    files.replace(180, [b"fra", b"mes"])
    assert [(found.window, found.frames) for found in files.load({1})] == [(180, b"frames")]
    with pytest.raises(OSError, match="symbolic"):
        files.append(60, [b"x"])
    assert secret.read_bytes() == b"x"


def test_a_start_does_not_depend_on_the_disk(files, monkeypatch, tmp_path):
    """Read-only or partly unreadable: void files are skipped, unreadable ones count as damaged."""
    files.replace(60, [b"void"])
    files.replace(120, [b"owed"])
    files.replace(180, [b"owed"])
    files.path(240).mkdir()
    (tmp_path / "checkpoint-60.new").write_bytes(b"unfinished")

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "unlink", read_only)
    monkeypatch.setattr(os, "link", read_only)
    monkeypatch.setattr(type(tmp_path), "read_bytes", lambda path: read_only() if "180" in path.name else b"owed")
    assert [(found.window, partial.Checkpoint(found.frames).damaged) for found in files.load({60})] == [
        (120, 1),
        (180, 1),
    ]
    assert files.set_aside(120).name.startswith("checkpoint-120.srp.damaged-")


def test_a_damaged_file_is_set_aside_and_stays(files):
    files.replace(60, [b"damaged"])
    kept = files.set_aside(60)
    assert files.set_aside(60) == kept
    files.replace(60, [b"anew"])
    assert (kept.read_bytes(), files.path(60).read_bytes()) == (b"damaged", b"anew")
    assert files.windows() == [60]


async def test_samples_that_wait_for_naming_are_on_disk_too(kept, clock):
    async def name() -> None:
        name_all(kept.hotpath)

    kept.hotpath.feed(b"new:1|c", NOW)
    saving = asyncio.create_task(kept.checkpointer.run(name))
    for _ in range(200):
        await asyncio.sleep(0.005)
        if kept.stored():
            break
    saving.cancel()
    assert list(kept.stored().values()) == [{"new": 1}]


class Taken:
    """A state directory that this relay does not hold."""

    def ensure(self) -> None:
        raise PermissionError(13, "in use by another relay")


@pytest.mark.parametrize("name", ["native", "python"])
async def test_no_checkpoint_is_written_into_a_directory_of_another_relay(tmp_path, clock, name):
    theirs = tmp_path / f"checkpoint-{START}.srp"
    theirs.write_bytes(b"theirs")
    kept = Kept(CheckpointFiles(tmp_path, Taken()), clock, name=name)
    kept.feed(b"hits:1|c")
    assert not await kept.checkpointer.save()
    kept.checkpointed.add(START - 60)
    kept.void.add(START - 60)
    await kept.checkpointer.drop_void()
    assert not await kept.checkpointer.move(START - 60, START)
    assert START not in kept.checkpointed, "nothing of the window is on disk: it may leave from memory"
    assert (list(tmp_path.iterdir()), theirs.read_bytes()) == ([theirs], b"theirs")
    await kept.checkpointer.close()
