"""The token of the admin port: a file that the relay makes at its first start, and that commands read.

Access to the file is permission to change the relay over the admin port. A relay without a state directory and without
`[admin] token_file` has no token. Every function blocks; not known here: which requests need the token (http/guard.py).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.delivery.state.private_files import open_private, sync

if TYPE_CHECKING:
    from relay.config.schema import AdminConfig

TOKEN_FILE: Final = "admin-token"  # noqa: S105 - the name of a file in the state directory
_LEAST: Final = 16
"""Characters; the relay's own token has 43."""
_MOST: Final = 256


def token_path(admin: AdminConfig, state: Path | None) -> Path | None:
    """Return the token's file: `[admin] token_file`, or one in the state directory; None if there is neither."""
    if admin.token_file:
        return Path(admin.token_file)
    return state / TOKEN_FILE if state else None


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: its content cannot be a token; the message says why.
    """
    with path.open("rb") as file:
        token = file.read(_MOST + 2).decode("latin-1").strip()
    if not (_LEAST <= len(token) <= _MOST and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(f"{path} must have {_LEAST} to {_MOST} characters of ASCII, without blanks")
    return token


def ensure_token(path: Path) -> str:
    """Return the token in a file; a missing file is made, with mode 0600 and a random token.

    Raises:
        OSError: the file cannot be read, or made.
        ValueError: its content cannot be a token.
    """
    try:
        return read_token(path)
    except FileNotFoundError:
        _write(path, secrets.token_urlsafe(32))
        return read_token(path)


def _write(path: Path, token: str) -> None:
    """Write a file that is complete, or not there."""
    new = path.with_name(f"{path.name}.new")
    descriptor = open_private(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
        file.write(f"{token}\n")
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    sync(path.parent)
