"""Writes the output file of a command; an existing file is replaced only with --force."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.errors import ExitCode, Problem, RelayError, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


def check_place(file: Path, *, force: bool) -> None:
    """Check before the work begins that the output file can be created.

    Raises:
        click.UsageError: the directory is missing, the file exists, or the path is not a regular file.
    """
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no directory {file.parent}")
    if not os.path.lexists(file):
        return
    if not stat.S_ISREG(file.lstat().st_mode):
        raise click.UsageError(f"{file} is not a regular file: name another")
    if not force:
        raise click.UsageError(f"{file} exists: add --force to replace it, or name another")


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
        RelayError: the file exists and `force` was not given (exit 64), or cannot be written (71).
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
        problem = Problem(
            code="RLY103", message=f"{path} exists", fix="name another file, or add --force to replace it"
        )
        raise RelayError(problem, exit_code=ExitCode.USAGE) from error
    except OSError as error:
        problem = Problem(
            code="RLY103", message=f"cannot write {path}: {error.strerror}", fix="name another file with -o"
        )
        raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
