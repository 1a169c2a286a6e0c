"""The configuration that a command works with: that of the running relay, or of a file that is tried."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.admin.answers.config import ConfigAnswer, values_in_force
from relay.cli.running.admin_client import fetch
from relay.cli.running.find import NoRelay, RunningRelay, find_relay
from relay.config import find_file
from relay.config.credentials import find_credentials
from relay.config.loading import CREDENTIAL_KEYS, keys, load
from relay.config.table_lists import LISTED
from relay.daemon.lifecycle.in_force import fingerprint
from relay.delivery.state.directory import home_directory, state_directory
from relay.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import Found
    from relay.config.loading import Loaded
    from relay.config.schema import Config

_MASKED: Final = CREDENTIAL_KEYS | {"cloud.proxy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedFile:
    """A file that no relay runs with, or not with this content."""

    path: Path | None
    found: Found

    def __str__(self) -> str:
        """Return what a command says on standard error."""
        if isinstance(self.found, NoRelay):
            return str(self.found)
        file = f"file {self.path}" if self.path else "defaults, no file"
        return f"{file}, not in force; {self.found}"

    def as_json(self) -> dict[str, Any]:
        """Return the `source` of `--json`."""
        if isinstance(self.found, NoRelay):
            return self.found.as_json()
        return {"relay": None, "file": str(self.path or ""), "beside": self.found.as_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A configuration, and from where it is."""

    config: Config
    values: ConfigAnswer
    source: RunningRelay | TriedFile


def find_effective(admin: Sequence[Address] | None, path: Path | None) -> Effective:
    """Return the configuration of the running relay; that of a file if no relay runs.

    If the relay does not run with `path` as it is now, the answer is for `path`, so that a change can be tried.

    Raises:
        RelayError: the configuration has errors, or nothing answers on the address of `--admin`.
    """
    found = find_relay(admin, path)
    if isinstance(found, RunningRelay) and found.address and not _is_other(path, found):
        answer = fetch_config(found)
        if answer:
            return Effective(config=rebuild(answer), values=answer, source=found)
    loaded = load_file(path)
    return Effective(config=loaded.config, values=_answer(loaded), source=TriedFile(path=loaded.path, found=found))


def fetch_config(relay: RunningRelay) -> ConfigAnswer | None:
    """Return the configuration in force; None of a relay of an earlier release.

    Raises:
        RelayError: RLY101, the relay does not answer, or refuses.
    """
    if not relay.index.pid:
        return None
    return fetch(relay.reached(), "/api/v1/config", ConfigAnswer)


def load_file(path: Path | None) -> Loaded:
    """Load the file of the command line, or the default file, for a command that sends nothing.

    Raises:
        ConfigError: with every problem.
    """
    return load(find_file(path), os.environ, is_sending=False)


def rebuild(answer: ConfigAnswer) -> Config:
    """Return the configuration whose values a relay has told; credentials are absent.

    Keys that this release does not know are left out.

    Raises:
        ConfigError: the values break a rule of this release.
    """
    known = keys()
    given: dict[str, Any] = {"tags.host": ""}
    elements: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in LISTED}
    for one in answer.values:
        table, _, rest = one.key.partition(".")
        if table in LISTED:
            number, _, name = rest.partition(".")
            if name in LISTED[table].__struct_fields__:
                elements[table].setdefault(number, {})[name] = one.value
        elif table == "tags" or (one.key in known and one.key not in _MASKED):
            given[one.key] = one.value
    return load(None, {}, overrides=given | {table: list(found.values()) for table, found in elements.items()}).config


def _is_other(path: Path | None, relay: RunningRelay) -> bool:
    """Return whether the command line names a file whose content is not what the relay runs with."""
    if path is None:
        return False
    try:
        return fingerprint(path.read_text()) != relay.index.sha256
    except (OSError, ValueError):
        return True


def _answer(loaded: Loaded) -> ConfigAnswer:
    config = loaded.config
    try:
        credentials = find_credentials(config.cloud, os.environ, home_directory())
    except RelayError:
        credentials = None
    try:
        state = str(state_directory(config.spool, os.environ, home_directory()) or "")
    except RelayError:
        state = config.spool.path
    values = values_in_force(config, loaded.origins, credentials=credentials, state=state)
    return ConfigAnswer(generation=0, since="", values=values)
