"""The token of a relay, which a command needs for a change.

A program on the admin port could claim to be a relay and get the token of another one. So the token is sent only to
the address that the lock of the state directory names: the lock is held by the relay itself.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from relay.admin.token import read_token, token_path
from relay.cli.running.admin_client import parse_places
from relay.cli.running.effective import load_file
from relay.config.schema import AdminConfig
from relay.delivery.state.directory import holder
from relay.errors import ConfigError, reason_of, unusable

if TYPE_CHECKING:
    from relay.cli.running.find import RunningRelay

_OWNER: str = "run the command as the relay's user or as root, where the relay runs"


def find_token(relay: RunningRelay, path: Path | None) -> str:
    """Return the token of a relay; "" if it has none: without a state directory the admin port changes nothing.

    Args:
        relay: which answers on an address.
        path: of `-c`; its `[admin] token_file` comes before the file in the state directory.

    Raises:
        RelayError: RLY101, this user may not read it, or the relay is not on this machine.
    """
    state = Path(relay.index.state_directory) if relay.index.state_directory else None
    file = token_path(_admin_config(path), state)
    if file is None:
        return ""
    try:
        token = read_token(file)
    except (OSError, ValueError) as error:
        raise unusable(f"a change needs the token of the relay: {file}: {reason_of(error)}", _OWNER) from error
    if state and not (_is_trusted(file, state) and _is_holder(state, relay)):
        address = relay.as_json()["relay"]
        raise unusable(f"the relay that holds {state} is not the one on {address}: its token is not sent there", _OWNER)
    return token


def _admin_config(path: Path | None) -> AdminConfig:
    try:
        return load_file(path).config.admin
    except ConfigError:  # the file has an error, of which the relay tells
        return AdminConfig()


def _is_trusted(file: Path, state: Path) -> bool:
    """Return whether the directory's owner may have this token: any user can name a directory and link a file there."""
    try:
        lock, token = (state / "lock").lstat(), file.lstat() if file.parent == state else file.stat()
    except OSError:
        return False
    return stat.S_ISREG(token.st_mode) and lock.st_uid in (0, os.geteuid(), token.st_uid)


def _is_holder(state: Path, relay: RunningRelay) -> bool:
    held = holder(state)
    if held is None or held.worker != relay.index.worker:
        return False
    try:
        return relay.address in parse_places(",".join(held.admin or ()))
    except ValueError:
        return False
