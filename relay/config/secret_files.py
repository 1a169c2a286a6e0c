"""Reads files that hold a secret, and checks that a credential is printable ASCII in one line.

A credential becomes part of a header or of a signature, where a line feed, a NUL or a non-ASCII character would raise
at each request; so it is refused when it is read. Invariant: a message names the place of the error and never the
content of the file.
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


# --- bounded reading -------------------------------------------------------------------------------------------------

# A path given by the user may name a pipe or a device that never ends, so length and waiting time are bounded. Pipes
# are allowed (`run -c <(...)`, `/dev/stdin`); one without a writer is an error after PIPE_TIMEOUT seconds.

PIPE_TIMEOUT: Final = 10.0
"""Seconds to wait for the content of a pipe."""
_CHUNK: Final = 65_536


def read_bounded(path: Path, most: int, *, timeout: float | None = PIPE_TIMEOUT) -> bytes:
    """Return the content of a file, at most `most` bytes.

    Args:
        path: a file, a pipe or a device.
        most: bytes that are read at most.
        timeout: seconds that the call may block; None: no limit.

    Raises:
        OSError: the file cannot be read, or a pipe had no content in time.
    """
    ends = None if timeout is None else time.monotonic() + timeout
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
        raise OSError(errno.ETIMEDOUT, "it is a pipe, and no content came in time")
    return os.read(descriptor, min(most, _CHUNK))


_WORLD_READABLE: Final = 0o004
_BYTES_MOST: Final = 65_536
"""Largest file of a secret: a session token has a few thousand bytes."""
_BLANKS: Final = " \t\r\n"
_ILLEGAL: Final = re.compile(r"[^ -~]")
RULE: Final = "must be printable ASCII in one line"


def is_legal(value: str) -> bool:
    """Say whether a credential can be part of a header and of a signature."""
    return _ILLEGAL.search(value) is None


def read_secret(path: str, warnings: list[Problem]) -> str:
    """Return the content of a file without the blanks around it; "" if the path is empty.

    Raises:
        ConfigError: RLY103, the file cannot be read, is empty, or has an illegal character.
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
    raise _refused(path, f"has a character that is not allowed: a credential {RULE}", line=line, column=column)


def read_private(path: str, warnings: list[Problem]) -> str:
    """Return the text of a file; add a warning if every user of this machine can read the file.

    Raises:
        ConfigError: RLY103, the file cannot be read, is too long, or is not UTF-8.
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
        ConfigError: RLY103, a value has an illegal character; with the line of its key.
    """
    for key, value in values.items():
        if not is_legal(value):
            line = next((n for n, one in enumerate(text.splitlines(), 1) if one.lower().startswith(key)), 1)
            raise _refused(source, f"{key} {RULE}", line=line)


def _first_illegal(text: str) -> int:
    match = _ILLEGAL.search(text)
    return match.start() if match else len(text)


def _refused(source: str, message: str, *, line: int, column: int = 1, fix: str = "write it again") -> ConfigError:
    return ConfigError(Problem(code="RLY103", message=message, fix=fix, source=source, line=line, column=column))
