"""The state directory: found, made private, checked, and locked against a second relay.

The files in it decide what is sent under this host's name, so only the relay's user may write there. The directory and
the durable files must belong to that user, no group and no other user may write to the directory, and none of the
relay's files may be a symbolic link. The directory itself may be one, as systemd's DynamicUser makes it so. Other files
are not touched.

The lock is flock(2) on the directory and on the file `lock` in it, which holds the pid of the process that runs the
relay and, in a second line, where that relay answers and which file it runs with. The kernel releases the lock when the
process ends. A full or read-only disk does not prevent it.

A relay that starts refuses a directory that it cannot use (`open`). A worker that follows another one does not
(`resume`): the directory was accepted before, so a failure now counts as trouble of the disk, which may pass.

Not known here: the content of the files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.delivery.spool.errors import DiskTrouble, translate_errors
from relay.delivery.state.private_files import open_private
from relay.errors import ExitCode, Problem, RelayError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.config.schema import SpoolConfig


# --- paths of the state directory and of the home directory ----------------------------------------------------------

_SYSTEM: Final = Path("/var/lib/statsd-relay")
_IN_HOME: Final = Path(".local/state/statsd-relay")
_FOLDER: Final = "state"
"""Folder that the relay makes with mode 0700 in a provided directory: a volume of a container has an owner and a mode
of its own."""


def home_directory() -> Path | None:
    """Return the user's home; None for a uid with neither HOME nor an entry in the user database."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def state_directory(spool: SpoolConfig, environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Return the configured directory, or one in systemd's, in the system's or in the home; None for memory only.

    Raises:
        RelayError: RLY101, the directory would be in the home, and there is none.
    """
    if spool.path == "none":
        return None
    if spool.path:
        return Path(spool.path)
    if given := _given_by_systemd(environ):
        return _state_folder(given)
    if os.access(_SYSTEM if _SYSTEM.exists() else _SYSTEM.parent, os.W_OK):
        return _state_folder(_SYSTEM)
    if home is None:
        message = f"no state directory: {_SYSTEM} is not writable, and uid {os.geteuid()} has no home directory"
        fix = 'give [spool] path a directory of this user, or "none" to keep requests in memory only; or set HOME'
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
    return home / _IN_HOME


def _given_by_systemd(environ: Mapping[str, str]) -> Path | None:
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else None


def _state_folder(provided: Path) -> Path:
    """Return the folder in a provided directory; the directory itself if an earlier release used it."""
    return provided if os.access(provided / DATABASE, os.F_OK) else provided / _FOLDER


def usual_directories(path: str, environ: Mapping[str, str], home: Path | None) -> list[Path]:
    """Return the directories that a relay of this machine may use, for a command that looks for one.

    Args:
        path: `[spool] path` of a file or a variable; "": not configured.
        environ: of the command.
        home: of the command's user; the relay may belong to another one.
    """
    if path:
        return [] if path == "none" else [Path(path)]
    provided = filter(None, (_given_by_systemd(environ), _SYSTEM))
    return [*map(_state_folder, provided), *([home / _IN_HOME] if home else [])]


# --- the processes of the relay that holds a state directory ----------------------------------------------------------

# The first line of the locked file is the pid of the worker, in 20 bytes, since an earlier release reads no more. The
# second line is JSON: the addresses of the admin port and the configuration file. If a supervisor started the worker,
# the supervisor takes the signals. The worker's environment names the supervisor, and its parent pid confirms that.

DATABASE: Final = "spool.db"
_LOCK: Final = "lock"
_LOCK_BYTES: Final = 8192
_PROC: Final = Path("/proc")
_SUPERVISOR: Final = b"RELAY_SUPERVISOR="


class Holder(NamedTuple):
    """The processes of the relay that holds a state directory."""

    worker: int
    """Pid of the process that has the lock; 0 if it is unreadable."""
    main: int | None
    """Pid that takes the signals: of the supervisor, or of the worker without one. None if it cannot be inspected."""
    admin: tuple[str, ...] | None = None
    """Each HOST:PORT of the admin port; empty: the relay has none. None: not known, of an earlier release."""
    file: str = ""
    """The configuration file; empty: none, or not known."""


def holder(directory: Path) -> Holder | None:
    """Return the processes of the relay that holds a directory; None if no relay holds it.

    It tests the lock of the file `lock`, not that of the directory, which a relay starting at this moment needs.
    """
    try:
        descriptor = open_private(directory / _LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(os.read(descriptor, _LOCK_BYTES))
    finally:
        os.close(descriptor)
    return None


def encode_place(admin: Sequence[str], file: Path | None) -> str:
    """Return the second line of a lock file.

    Args:
        admin: each HOST:PORT of the admin port.
        file: the configuration file; None without one.
    """
    return json.dumps({"admin": list(admin), "file": str(file.absolute()) if file else ""})


def _read_holder(content: bytes) -> Holder:
    first, _, second = content.partition(b"\n")
    worker = int(first) if first.strip().isdigit() else 0
    try:
        place = json.loads(second)
        admin, file = tuple(map(str, place["admin"])), str(place["file"])
    except (ValueError, TypeError, KeyError):
        return Holder(worker, _main_process(worker))
    return Holder(worker, _main_process(worker), admin, file)


def _main_process(worker: int) -> int | None:
    """Return the pid that takes the signals of a worker; None if no relay of this user has the worker's pid."""
    try:
        command = (_PROC / str(worker) / "cmdline").read_bytes().split(b"\0")
        variables = (_PROC / str(worker) / "environ").read_bytes().split(b"\0")
        parent = int((_PROC / str(worker) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
    if worker == os.getpid() or b"run" not in command:
        return None
    return parent if _SUPERVISOR + str(parent).encode() in variables else worker


# --- checks and lock -------------------------------------------------------------------------------------------------

_OURS: Final = (_LOCK, "spool.", "dead-letters", "replay-", "checkpoint", "admin-token")
"""Prefixes of the names of the relay's files."""
_NEEDED: Final = ("spool.", "checkpoint-")
"""Prefixes of the files that must be writable. Dead letters are kept in memory, and logged, if theirs are not."""
_OWN_DIRECTORY: Final = "or name a directory in it, which the relay makes, in [spool] path"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OWNER_USES: Final = stat.S_IRUSR | stat.S_IWUSR
_LOCK_TRIES: Final = 5
_LOCK_PAUSE: Final = 0.01
"""Seconds."""


class StateDirectory:
    """State: the descriptors that hold the lock; none while the directory is unusable. `check` is thread-safe."""

    def __init__(self, path: Path, place: str = "") -> None:
        self.path = path
        self._place = place
        self._descriptors: list[int] = []
        self._checking = Lock()
        self._is_closed = False

    @classmethod
    def open(cls, path: Path, place: str = "") -> StateDirectory:
        """Create the directory (0700) if it is missing, check it and lock it. Blocks shortly; call it from a thread.

        Args:
            path: of the directory.
            place: second line of the lock file, see `encode_place`.

        Raises:
            RelayError: RLY101 it cannot be created or read, RLY104 it is not safe, RLY105 another relay uses it.
        """
        state = cls(path, place)
        state._make()
        return state

    @classmethod
    def resume(cls, path: Path, place: str = "") -> StateDirectory:
        """Open the directory of a relay that just ended; if that fails, each `check` tries again and raises."""
        state = cls(path, place)
        with suppress(DiskTrouble):
            state.check()
        return state

    def check(self) -> None:
        """Check that the directory is still at its path; a safe directory that replaced it is locked and used instead.

        Raises:
            DiskTrouble: removed (certainly), moved (it may come back), or unusable (since the start).
        """
        with self._checking:
            if self._is_closed:
                raise DiskTrouble("unusable", f"state directory {self.path} is closed")
            if self._descriptors:
                self._check_path()
            else:
                self._retry()

    def ensure(self) -> None:
        """Check the directory, and raise OSError instead of DiskTrouble.

        Raises:
            OSError: the directory may not be used.
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
        """Try again to open a directory that was unusable."""
        try:
            self._make()
        except RelayError as error:
            raise DiskTrouble("unusable", f"{error.problems[0].code} {error.brief()}") from error

    def _check_path(self) -> None:
        with translate_errors(self.path):
            held = os.fstat(self._descriptors[0])
            try:
                there: os.stat_result | None = self.path.stat()
            except FileNotFoundError:
                there = None
        if there is None or not os.path.samestat(there, held):
            if there is not None:
                self._use_replacement()
            if held.st_nlink == 0:
                raise DiskTrouble("removed", f"state directory {self.path} was removed")
            if there is None:
                raise DiskTrouble("moved", f"state directory {self.path} is not there any more")

    def _use_replacement(self) -> None:
        """Check and lock the directory that is at the path now, and release the old one."""
        other = StateDirectory(self.path, self._place)
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
        _check_directory(self.path, os.fstat(directory))
        _check_files(self.path)
        self._lock(directory)
        with suppress(OSError):
            # On a full or read-only disk the file may fail; the lock on the directory is enough.
            file = self._open_lock_file()
            self._descriptors.append(file)
            _lock_file(file)
            self._write_lock_file(file)

    def _write_lock_file(self, file: int) -> None:
        content = f"{os.getpid():<19}\n{self._place}\n".encode()
        os.pwrite(file, content, 0)
        os.ftruncate(file, len(content))

    def _open_lock_file(self) -> int:
        try:
            return open_private(self.path / _LOCK, os.O_RDWR | os.O_CREAT)
        except OSError:
            return open_private(self.path / _LOCK, os.O_RDONLY)

    def _lock(self, directory: int) -> None:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = holder(self.path)
            by = f"by the relay with pid {other.worker}" if other and other.worker else "by another relay"
            fix = "stop that one, or give each its own [spool] path"
            raise _refusal("RLY105", f"state directory {self.path} is in use {by}", fix) from error


def _lock_file(file: int) -> None:
    """Lock the file; try again shortly, as `holder` of another process holds the lock for an instant."""
    for left in reversed(range(_LOCK_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_LOCK_PAUSE)
        else:
            return


def _check_directory(path: Path, status: os.stat_result) -> None:
    """Refuse a directory that another user owns or may write to."""
    me, mode = os.geteuid(), stat.S_IMODE(status.st_mode)
    found = f"state directory {path} belongs to uid {status.st_uid} and has mode {mode:04o}"
    if status.st_uid != me:
        raise _refusal("RLY104", f"{found}; this relay runs as uid {me}", f"chown -R {me} {path}, {_OWN_DIRECTORY}")
    if mode & _OTHERS_WRITE:
        raise _refusal("RLY104", f"{found}: others can write into it", f"chmod 700 {path}, {_OWN_DIRECTORY}")


def _check_files(path: Path) -> None:
    """Refuse symbolic links, and unusable durable files, among the relay's names."""
    with os.scandir(path) as entries:
        ours = sorted((entry for entry in entries if entry.name.startswith(_OURS)), key=lambda entry: entry.name)
        for entry in ours:
            if entry.is_symlink():
                message = f"{path / entry.name} is a symbolic link, which the relay never makes"
                raise _refusal("RLY104", message, "remove it after a look at where it leads")
            if entry.name.startswith(_NEEDED):
                _check_file(path / entry.name, entry.stat(follow_symlinks=False))


def _check_file(path: Path, status: os.stat_result) -> None:
    """Refuse a name that is not a file, is another user's, or may not be read and written: retries would not help."""
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
