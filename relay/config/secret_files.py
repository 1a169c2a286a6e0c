"""Files that hold a secret, and what a secret may consist of.

Everything of a credential goes into a header of a request or into its signature, where a line feed, a NUL or a text
that is no ASCII is an exception at each request. So it is refused where it is read, by place and never by content: no
message of this file has a character of what it read.
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


# --- bounded_file ----------------------------------------------------------------------------------------------------

# Reads a file whose kind and length are not ours to choose: a path may name a pipe, a device or a disk without end.
#
# `run -c <(...)` and `/dev/stdin` are pipes, so a pipe is read like a file; one that nothing is written into is an
# error after some seconds, and not a wait without end.

PATIENCE: Final = 10.0
"""Seconds for what writes into a pipe."""
_CHUNK: Final = 65_536


def read_bounded(path: Path, most: int, *, patience: float | None = PATIENCE) -> bytes:
    """Return what a file holds, and at most so many bytes of it; blocks no longer than `patience`, None: without limit.

    Raises:
        OSError: it cannot be read, or nothing was written into it in time.
    """
    ends = None if patience is None else time.monotonic() + patience
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) < most and (chunk := _read(descriptor, most - len(content), ends)):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int, ends: float | None) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    left = None if ends is None else max(0.0, ends - time.monotonic()) * 1000
    if not poll.poll(left):
        raise OSError(errno.ETIMEDOUT, "it is a pipe, and nothing was written into it in time")
    return os.read(descriptor, min(most, _CHUNK))


_WORLD_READABLE: Final = 0o004
_BYTES_MOST: Final = 65_536
"""Of a file: a session token has a few thousand."""
_BLANKS: Final = " \t\r\n"
_ILLEGAL: Final = re.compile(r"[^ -~]")
RULE: Final = "must be printable ASCII in one line"


def is_legal(value: str) -> bool:
    """Say whether a credential can be sent and signed with."""
    return _ILLEGAL.search(value) is None


def read_secret(path: str, warnings: list[Problem]) -> str:
    """Return the content of a file without the blanks around it; "" for no path.

    Raises:
        ConfigError: RLY103, it cannot be read, is empty, or holds what no credential has.
    """
    if not path:
        return ""
    content = read_private(path, warnings)
    text = content.strip(_BLANKS)
    if not text:
        raise _refused(path, "is empty", line=1, fix="write the value into it")
    if is_legal(text):
        return text
    at = _first_illegal(text)
    before = content[: content.index(text) + at]
    line = before.count("\n") + 1
    if text[at] in "\r\n":
        raise _refused(path, f"has more than one line: a credential {RULE}", line=line + 1)
    column = len(before.rpartition("\n")[2]) + 1
    raise _refused(path, f"has a character that no credential has: it {RULE}", line=line, column=column)


def read_private(path: str, warnings: list[Problem]) -> str:
    """Return the text of a file; warn if every user of this machine can read it.

    Raises:
        ConfigError: RLY103, it cannot be read, is longer than such files are, or is no text.
    """
    fix = "check the path and its mode"
    try:
        file = Path(path)
        content = read_bounded(file, _BYTES_MOST + 1)
        is_open = bool(file.stat().st_mode & _WORLD_READABLE)
        text = content.decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigError(Problem(code="RLY103", message=f"cannot read {path}: {reason}", fix=fix)) from error
    if len(content) > _BYTES_MOST:
        raise ConfigError(Problem(code="RLY103", message=f"{path} is longer than {_BYTES_MOST} bytes", fix=fix))
    if is_open:
        message = f"{path} can be read by every user of this machine"
        warnings.append(Problem(code="RLY121", severity="warning", message=message, fix=f"chmod 600 {path}"))
    return text


def check_profile(values: Mapping[str, str], text: str, source: str) -> None:
    """Check the values of a section of an INI file.

    Raises:
        ConfigError: RLY103, with the line of the first key whose value no credential has.
    """
    for key, value in values.items():
        if not is_legal(value):
            line = next((n for n, one in enumerate(text.splitlines(), 1) if one.lower().startswith(key)), 1)
            raise _refused(source, f"{key} {RULE}", line=line)


def _first_illegal(text: str) -> int:
    match = _ILLEGAL.search(text)
    return match.start() if match else len(text)


def _refused(source: str, message: str, *, line: int, column: int = 1, fix: str = "write it anew") -> ConfigError:
    return ConfigError(Problem(code="RLY103", message=message, fix=fix, source=source, line=line, column=column))
