"""Tools of the fault tests: disks that fill up or stall, clocks that step.

A missing tool skips the test, with a message; with RELAY_EXPECT_<TOOL>=1 (as in .ci/run) the test fails.
Tools: FAKETIME (apt: faketime), MOUNT (root, and a kernel that lets it mount a tmpfs), GCC, NFT (apt: nftables),
NODE (apt: npm), PROMTOOL (promtool.py), SYSTEMD (systemd-socket-activate).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROGRAMS = {"GCC": "gcc", "NFT": "nft", "NODE": "npm", "SYSTEMD": "systemd-socket-activate"}


def missing(tool: str, why: str) -> None:
    """Skip the test, or fail if this machine is expected to have the tool."""
    if os.environ.get(f"RELAY_EXPECT_{tool}"):
        pytest.fail(f"RELAY_EXPECT_{tool} is set, but {why}")
    pytest.skip(f"no {tool.lower()}: {why}")


def need(tool: str) -> None:
    """Skip or fail unless the tool's program is installed."""
    if shutil.which(PROGRAMS[tool]) is None:
        missing(tool, f"{PROGRAMS[tool]} is not installed")


# --- disks -----------------------------------------------------------------------------------------------------------


@contextmanager
def tmpfs(path: Path, *, size: str = "8m", inodes: int = 0) -> Iterator[Path]:
    """Mount a small file system at `path`, which is made; it is unmounted afterwards even if it is in use."""
    path.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=0700" + (f",nr_inodes={inodes}" if inodes else "")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing("MOUNT", done.stderr.strip())
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def remount(path: Path, *, read_only: bool) -> None:
    """Make a mounted file system read-only, or writable again; the kernel refuses while a file is open for writing."""
    mode = "ro" if read_only else "rw"
    subprocess.run(["mount", "-o", f"remount,{mode}", path], capture_output=True, text=True, check=True)


def fill(directory: Path) -> Path:
    """Fill all free space; remove the returned file to free it."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * block)
            except OSError:
                continue
    return path


def take_inodes(directory: Path) -> list[Path]:
    """Make empty files until no inodes are left; remove them to free the inodes."""
    made: list[Path] = []
    try:
        while True:
            path = directory / f"inode-{len(made)}"
            path.touch()
            made.append(path)
    except OSError:
        return made


class SickDisk:
    """A disk that stalls or fails for processes with `environment`, at any operation on files in `under`.

    disk = SickDisk(tmp_path, under=state)
    relay = start(environ=disk.environment)
    with disk.stalled(): ...                # writes, syncs, opens for writing, renames, unlinks sleep
    with disk.failing(errno.EROFS): ...     # they fail: read-only (EROFS), broken (EIO), full (ENOSPC)

    A file system that has open files refuses to be remounted read-only by hand, so a disk that goes read-only under a
    running relay is this one.
    """

    def __init__(self, scratch: Path, *, under: Path) -> None:
        need("GCC")
        library, self._trigger = scratch / "sick_disk.so", scratch / "sick-now"
        command = ["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library]
        subprocess.run([*command, HERE / "sick_disk.c", "-ldl"], check=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "SICK_TRIGGER": str(self._trigger),
            "SICK_UNDER": str(under.resolve()),
        }

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Sleep, at most a minute each."""
        with self._engaged(""):
            yield

    def holds(self) -> bool:
        """Say whether it has stalled a process since it was made."""
        return self._trigger.with_suffix(".held").exists()

    @contextmanager
    def failing(self, number: int) -> Iterator[None]:
        """Fail with this errno."""
        with self._engaged(str(number)):
            yield

    @contextmanager
    def _engaged(self, text: str) -> Iterator[None]:
        fresh = self._trigger.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._trigger)
        try:
            yield
        finally:
            self._trigger.unlink()


# --- clocks ----------------------------------------------------------------------------------------------------------


class FakeTime:
    """A wall clock that a test sets, for processes with `environment`; monotonic time does not change.

    An emulator refuses signatures that are more than 15 minutes off: `make_emulator(check_signature=False)`.
    """

    def __init__(self, scratch: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            missing("FAKETIME", "libfaketime is not installed (apt-get install faketime)")
        self._file = scratch / "faketime"
        self.offset = 0.0
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """Step the clock by a number of seconds."""
        self.offset += seconds
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset:+f}\n")
        fresh.replace(self._file)

    def wall(self) -> float:
        """The time that those processes see."""
        return time.time() + self.offset
