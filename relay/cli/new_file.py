"""A file that a command makes for its user alone, and that replaces nothing unasked."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_place(file: Path, *, force: bool) -> None:
    """Refuse early what `writable` would refuse late.

    Raises:
        click.UsageError: something is there already, or cannot be replaced.
    """
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no directory {file.parent}")
    if not os.path.lexists(file):
        return
    if not stat.S_ISREG(file.lstat().st_mode):
        raise click.UsageError(f"{file} is no regular file: name another")
    if not force:
        raise click.UsageError(f"{file} exists: add --force to replace it, or name another")


@contextmanager
def writable(file: Path) -> Iterator[int]:
    """Make the file, readable by its owner alone; replace one that `check_place` has let pass.

    Raises:
        RelayError: the disk refuses.
    """
    try:
        file.unlink(missing_ok=True)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        fix = "what was written before, if anything, is in it; make room, or name another file"
        problem = Problem(code="RLY101", message=message, fix=fix)
        raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
