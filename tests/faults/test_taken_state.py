"""Row 44: the state directory is taken from a running relay, and then its worker dies.

The next worker finds it in use by another relay, writable by others, owned by another user, or no directory. The relay
goes on in memory, reports it, and uses the directory again once it can.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_removed_state import SEEN
from tests.support.oracle import conserve, freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RATE = 300
WINDOW = 3
HOLD = (
    "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX);"
    "print('held', flush=True); sys.stdin.read()"
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away: not tested")


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Another relay waits for the directory, and locks it once the worker is dead."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        yield
        assert other.stdout.readline() == b"held\n"
        other.kill()


@contextmanager
def mode(path: Path, wanted: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(wanted)
    yield
    path.chmod(before)


@contextmanager
def given_away(path: Path) -> Iterator[None]:
    os.chown(path, 65534, 65534)
    yield
    os.chown(path, 0, 0)


@contextmanager
def replaced(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    away = path.with_name(f"{path.name}-away")
    path.rename(away)
    make(path)
    yield
    (shutil.rmtree if path.is_dir() and not path.is_symlink() else os.unlink)(path)
    away.rename(path)


HARMS = {
    "in use": ("RLY105", locked),
    "0777": ("RLY104", lambda state: mode(state, 0o777)),
    "another user's": ("RLY104", given_away),
    "a file": ("RLY101", lambda state: replaced(state, lambda path: path.write_text(""))),
    "another user's directory": ("RLY104", lambda state: replaced(state, _foreign)),
    "a link in it": ("RLY104", lambda state: replaced(state / "spool.db", lambda path: path.symlink_to("/nowhere"))),
    "a pipe in it": ("RLY104", lambda state: replaced(state / "spool.db", os.mkfifo)),
    "read-only database": ("RLY104", lambda state: mode(state / "spool.db", 0o400)),
    "another user's database": ("RLY104", lambda state: given_away(state / "spool.db")),
}
FAST = ("in use", "0777")
ROOT = ("another user's", "another user's directory", "another user's database")


def _foreign(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)


def tree(directory: Path) -> dict[str, bytes]:
    """Return all regular files with their contents."""
    files = [path for path in directory.iterdir() if stat.S_ISREG(path.lstat().st_mode)] if directory.is_dir() else []
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(name, marks=[*([] if name in FAST else [pytest.mark.full]), *([AS_ROOT] if name in ROOT else [])])
        for name in HARMS
    ],
)
async def test_row_44_state_that_is_taken_does_not_end_what_receives(harm, start, load, emulator, figure, tmp_path):
    code, do = HARMS[harm]
    state = tmp_path / "state"
    relay = start(WINDOW_SECONDS=str(WINDOW))
    generator = load(relay, rate=RATE, seconds=120)
    await asyncio.sleep(WINDOW + 1)
    with do(state):
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        await relay.degraded(True)
        [told, *_] = await relay.told("durability degraded", within=SEEN * 4)
        assert (told["reason"], told["why"].partition(" ")[0]) == ("unusable", code)
        before = tree(state)
        fresh = await freshness(relay, emulator, within=WINDOW * 8)
        assert tree(state) == before, "nothing is written where another one may be"
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        await relay.degraded(True)
        await asyncio.sleep(1)
    restored = await relay.degraded(False)
    assert len(relay.events("worker died, starting another")) == 2
    await asyncio.sleep(1.5)
    await relay.gone(relay.signal_worker(signal.SIGKILL))
    sent = await generator.stop()
    verdict = await conserve(relay, emulator, sent, lost=RATE * (2 * WINDOW + 4), window=WINDOW, fresh_within=60)
    figure(44, f"{harm}: fresh packet after {fresh:.1f} s in memory, durable {restored:.1f} s after the end; {verdict}")


async def test_row_44_state_that_is_taken_is_refused_by_a_first_start(start, tmp_path):
    """At a first start nothing is received yet, and a person can repair it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    log = tmp_path / "log"
    with pytest.raises(AssertionError, match="did not start"):
        start(log=log)
    assert log.read_text().count("RLY104") == 1
