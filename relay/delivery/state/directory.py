"""The state directory: made private, checked, and locked against a second relay.

What lies in it decides what is sent under this host's name, so nobody else may be able to write there: the directory
and the files of what is durable belong to the user of the relay, no group and no other user may write there, and none
of the relay's files is a symbolic link (the directory itself may be one: systemd's DynamicUser makes it so). Files that
are not the relay's are left alone.

The lock is the kernel's (flock), on the directory and on the file `lock` in it, which holds the pid of the process
that runs the relay. It ends with the process, however that ends. A full or read-only disk does not prevent it.

A relay that starts refuses a directory that it cannot use. One that goes on where another one ended does not end for
it: the directory was accepted, and what became of it since then is trouble of the disk, which may pass.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from relay.delivery.spool.errors import DiskTrouble, explained
from relay.errors import ExitCode, Problem, RelayError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.schema import Spool


# --- locate ----------------------------------------------------------------------------------------------------------

# The state directory and the home directory: which ones. Whether they can be used is for those who use them.

_SYSTEM: Final = Path("/var/lib/statsd-relay")
_FOLDER: Final = "state"
"""In a directory that the system provides: volumes of containers come with owners and modes of their own, and the
relay makes this folder 0700 itself."""


def home_directory() -> Path | None:
    """Return the user's home; None for a uid that has neither HOME nor an entry in the list of users."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def state_directory(spool: Spool, environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Return the configured directory, one in systemd's or the system's, or the user's; None for memory only.

    Raises:
        RelayError: RLY101, there is no home to put one into.
    """
    if spool.path == "none":
        return None
    if spool.path:
        return Path(spool.path)
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return _in(Path(given))
    if os.access(_SYSTEM if _SYSTEM.exists() else _SYSTEM.parent, os.W_OK):
        return _in(_SYSTEM)
    if home is None:
        message = f"no state directory: {_SYSTEM} is not writable, and uid {os.geteuid()} has no home directory"
        fix = 'give [spool] path a directory of this user, or "none" to keep requests in memory only; or set HOME'
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
    return home / ".local/state/statsd-relay"


def _in(provided: Path) -> Path:
    """Return the folder in a provided directory; the directory itself if an earlier release has used that."""
    return provided if os.access(provided / "spool.db", os.F_OK) else provided / _FOLDER


# --- running ---------------------------------------------------------------------------------------------------------

# Which process serves a state directory, found by the `lock` file that it holds there: its first line is a pid.
#
# Whoever holds the lock is the worker; if a supervisor started it, that one is who takes signals. The environment a
# process was started with says so, and its parent confirms it.

LOCK: Final = "lock"
_PROC: Final = Path("/proc")
_SUPERVISOR: Final = b"RELAY_SUPERVISOR="


def find_running(state: Path) -> int | None:
    """Return the pid to signal; None if nobody serves this directory, or not as a process we may look at."""
    try:
        worker = int((state / LOCK).read_text().split(maxsplit=1)[0])
        command = (_PROC / str(worker) / "cmdline").read_bytes().split(b"\0")
        variables = (_PROC / str(worker) / "environ").read_bytes().split(b"\0")
        parent = int((_PROC / str(worker) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
    if worker == os.getpid() or b"run" not in command:
        return None
    return parent if _SUPERVISOR + str(parent).encode() in variables else worker


_OURS: Final = ("lock", "spool.", "dead-letters", "replay-", "open-", "checkpoint")
"""What the names of the relay's files start with."""
_NEEDED: Final = ("spool.", "checkpoint-")
"""Of them, what is durable only if it can be written; letters that cannot be are told of, and wait in memory."""
_OWN_DIRECTORY: Final = "or name a directory in it, which the relay makes, in [spool] path"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OWNER_USES: Final = stat.S_IRUSR | stat.S_IWUSR


class StateDirectory:
    """State: the descriptors that hold the lock, unless it cannot be used; several threads may `check`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptors: list[int] = []
        self._checking = Lock()
        self._is_closed = False

    def __repr__(self) -> str:
        """Report the path."""
        return f"<StateDirectory {self.path}{'' if self._descriptors else ', not locked'}>"

    @classmethod
    def open(cls, path: Path) -> StateDirectory:
        """Make the directory (0700) if there is none, check it and lock it. Blocks shortly; call it from a thread.

        Raises:
            RelayError: RLY101 it cannot be made or read, RLY104 it is not safe, RLY105 another relay uses it.
        """
        state = cls(path)
        state._make()
        return state

    @classmethod
    def resume(cls, path: Path) -> StateDirectory:
        """Open the directory of a relay that ended a moment ago; if that fails, `check` says why, and tries again."""
        state = cls(path)
        with suppress(DiskTrouble):
            state.check()
        return state

    def check(self) -> None:
        """See whether the directory is still at its path; one that took its place is used if it is as safe.

        Raises:
            DiskTrouble: removed, for certain; moved, so that it may come back; or unusable since the start.
        """
        with self._checking:
            if self._is_closed:
                raise DiskTrouble("unusable", f"state directory {self.path} is closed")
            if self._descriptors:
                self._compare()
            else:
                self._retry()

    def ensure(self) -> None:
        """Check the directory for a caller that knows files alone.

        Raises:
            OSError: nothing may be read or written there.
        """
        try:
            self.check()
        except DiskTrouble as trouble:
            raise OSError(errno.EACCES, str(trouble)) from trouble

    def close(self) -> None:
        """Release the lock, for good."""
        self._is_closed = True
        self._release()

    def _retry(self) -> None:
        """Open what could not be opened before."""
        try:
            self._make()
        except RelayError as error:
            raise DiskTrouble("unusable", f"{error.problems[0].code} {error.brief()}") from error

    def _compare(self) -> None:
        with explained(self.path):
            held = os.fstat(self._descriptors[0])
            try:
                there: os.stat_result | None = self.path.stat()
            except FileNotFoundError:
                there = None
        if there is None or not os.path.samestat(there, held):
            if there is not None:
                self._follow()
            if held.st_nlink == 0:
                raise DiskTrouble("removed", f"state directory {self.path} was removed")
            if there is None:
                raise DiskTrouble("moved", f"state directory {self.path} is not there any more")

    def _follow(self) -> None:
        """Check and lock what is at the path now, instead of what was."""
        other = StateDirectory(self.path)
        try:
            other._open()
        except OSError as error:
            other.close()
            raise DiskTrouble("moved", f"state directory {self.path} was replaced: {reason_of(error)}") from error
        except RelayError as error:
            other.close()
            raise DiskTrouble("moved", error.brief()) from error
        self._release()
        self._descriptors = other._descriptors

    def _release(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            self._release()
            fix = 'give [spool] path a directory of this user, or "none" to keep requests in memory only'
            raise _refusal("RLY101", f"cannot use state directory {self.path}: {error.strerror}", fix) from error
        except RelayError:
            self._release()
            raise

    def _open(self) -> None:
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors.append(directory)
        _check(self.path, os.fstat(directory))
        _refuse_files(self.path)
        self._lock(directory)
        with suppress(OSError):
            # Without it the directory's own lock must do: the disk is full or read-only, and that is no reason to stop.
            file = self._open_lock_file()
            self._descriptors.append(file)
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)

    def _open_lock_file(self) -> int:
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | flags, 0o600)
        except OSError:
            file = os.open(self.path / LOCK, os.O_RDONLY | flags)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def _lock(self, directory: int) -> None:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = running_pid(self.path)
            by = f"by the relay with pid {pid}" if pid else "by another relay"
            fix = "stop that one, or give each its own [spool] path"
            raise _refusal("RLY105", f"state directory {self.path} is in use {by}", fix) from error


def running_pid(path: Path) -> int | None:
    """Return the pid that is written in the lock file of a state directory, whether or not that relay still runs."""
    try:
        text = (path / LOCK).read_bytes()[:20].strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _check(path: Path, status: os.stat_result) -> None:
    """Refuse a directory that somebody else could write into."""
    me, mode = os.geteuid(), stat.S_IMODE(status.st_mode)
    found = f"state directory {path} belongs to uid {status.st_uid} and has mode {mode:04o}"
    if status.st_uid != me:
        raise _refusal("RLY104", f"{found}; this relay runs as uid {me}", f"chown -R {me} {path}, {_OWN_DIRECTORY}")
    if mode & _OTHERS_WRITE:
        raise _refusal("RLY104", f"{found}: others can write into it", f"chmod 700 {path}, {_OWN_DIRECTORY}")


def _refuse_files(path: Path) -> None:
    """Refuse what the relay could not write, or would write somewhere else, under its own names."""
    with os.scandir(path) as entries:
        ours = sorted((entry for entry in entries if entry.name.startswith(_OURS)), key=lambda entry: entry.name)
        for entry in ours:
            if entry.is_symlink():
                message = f"{path / entry.name} is a symbolic link, which the relay never makes"
                raise _refusal("RLY104", message, "remove it after a look at where it leads")
            if entry.name.startswith(_NEEDED):
                _check_file(path / entry.name, entry.stat(follow_symlinks=False))


def _check_file(path: Path, status: os.stat_result) -> None:
    """Refuse what is no file, is another user's, or may not be read and written: that passes with no retry."""
    if not stat.S_ISREG(status.st_mode):
        raise _refusal("RLY104", f"{path} is no file, and the relay makes nothing else of this name", "remove it")
    me, mode = os.geteuid(), stat.S_IMODE(status.st_mode)
    found = f"{path} belongs to uid {status.st_uid} and has mode {mode:04o}; this relay runs as uid {me}"
    if status.st_uid != me:
        raise _refusal("RLY104", found, f"chown {me} {path}, or run as its owner")
    if mode & _OWNER_USES != _OWNER_USES:
        raise _refusal("RLY104", found, f"chmod 600 {path}")


def _refusal(code: str, message: str, fix: str) -> RelayError:
    return RelayError(Problem(code=code, message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
