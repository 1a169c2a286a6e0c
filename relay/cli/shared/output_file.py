"""Writes the output file of a command; an existing file is replaced only with --force."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.errors import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.errors import RelayError

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


def check_place(file: Path, *, force: bool) -> None:
    """Check before the work begins that the output file can be created.

    Raises:
        click.UsageError: the directory is missing, or the path is not a regular file.
        RelayError: RLY101, the file exists.
    """
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no directory {file.parent}")
    if not os.path.lexists(file):
        return
    if not stat.S_ISREG(file.lstat().st_mode):
        raise click.UsageError(f"{file} is not a regular file: name another")
    if not force:
        raise _exists(file)


@contextmanager
def writable(file: Path) -> Iterator[int]:
    """Create the file, readable by its owner only, and yield its descriptor; an existing file is replaced.

    Call `check_place` first.

    Raises:
        RelayError: RLY101, the file cannot be written.
    """
    try:
        file.unlink(missing_ok=True)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        fix = "make room, or name another file; what was written before is in it"
        raise unusable(message, fix) from error


def write(path: Path, text: str, *, is_private: bool, force: bool) -> None:
    """Write a file atomically; one with a possible secret (`is_private`) is readable by its owner only.

    Raises:
        RelayError: RLY101, the file exists and `force` was not given, or it cannot be written.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = path.parent / Path(name).name
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _PRIVATE if is_private else _PUBLIC)
            file.write(text)
        if force:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # fails if the name exists: no race between a check and the write
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise unusable(f"cannot write {path}: {error.strerror}", "name another file with -o") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _exists(path: Path) -> RelayError:
    return unusable(f"{path} exists", "name another file, or add --force to replace it")
