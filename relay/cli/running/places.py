"""Where a relay of this machine may answer: the addresses and the state directories to try, in their order.

A file is read for its two places alone, so that an error elsewhere in it does not keep a command from the relay. It
imports little, since a health check uses it every few seconds.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.cli.running.admin_client import parse_places
from relay.config import find_file
from relay.config.secret_files import read_bounded
from relay.delivery.state.directory import home_directory, usual_directories
from relay.errors import ConfigError, Problem, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relay.cli.running.admin_client import Address

_FILE_BYTES: Final = 1_048_576
_TABLE_START: Final = re.compile(r"^(?=\[)", re.MULTILINE)
_DEFAULT_PORTS: Final = "127.0.0.1:8126,[::1]:8126"
_PREFIX: Final = "STATSD_RELAY_"
_BELOW_THE_FILE: Final = "STATSD_RELAY_DEFAULT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to look for a relay."""

    file: Path | None
    """The file of the command line, or the default file."""
    addresses: tuple[Address, ...]
    directories: tuple[Path, ...] = ()
    unreadable: str = ""
    """Why the file does not say where its relay is; empty if it does, or if there is no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilePlaces:
    """The places that a file names; None: it names none."""

    admin: str | None = None
    spool: str | None = None
    unreadable: str = ""


def find_places(path: Path | None, environ: Mapping[str, str]) -> Places:
    """Return the places for a command without `--admin`.

    An address that the file of the command line or a variable names is the only one: the relay on another address
    would be another relay.

    Raises:
        ConfigError: RLY103, the file of the command line cannot be read.
    """
    file = find_file(path)
    read = _read_places(file, environ, is_given=path is not None)
    variable, below = (environ.get(f"{prefix}ADMIN_LISTEN") for prefix in (_PREFIX, _BELOW_THE_FILE))
    spool = (read.spool if path else None) or environ.get(f"{_PREFIX}SPOOL_PATH") or read.spool
    spool = spool or environ.get(f"{_BELOW_THE_FILE}SPOOL_PATH", "")
    named = read.admin if path and read.admin is not None else variable
    texts = (named,) if named is not None else (read.admin or "", below or "", _DEFAULT_PORTS)
    return Places(
        file=file,
        addresses=tuple(dict.fromkeys(address for text in texts for address in _addresses(text))),
        directories=tuple(usual_directories(spool, environ, home_directory())),
        unreadable=read.unreadable,
    )


def _addresses(text: str) -> list[Address]:
    given = ",".join(filter(str.strip, text.split(",")))
    try:
        return parse_places(given) if given else []
    except ValueError:  # an error of the configuration, which `check` and the commands that need the file report
        return []


def _read_places(file: Path | None, environ: Mapping[str, str], *, is_given: bool) -> _FilePlaces:
    if file is None:
        return _FilePlaces()
    try:
        tables, is_toml = _tables_of(read_bounded(file, _FILE_BYTES).decode())
    except OSError as error:
        message = f"cannot read {file}: {reason_of(error)}"
        if is_given:
            problem = Problem(code="RLY103", message=message, fix="name a file that this user can read")
            raise ConfigError(problem) from error
        return _FilePlaces(unreadable=message)
    except UnicodeDecodeError:
        return _FilePlaces(unreadable=f"{file} is not TOML")
    return _FilePlaces(
        admin=_text_of(tables, "admin", "listen", environ),
        spool=_text_of(tables, "spool", "path", environ),
        unreadable="" if is_toml else f"{file} is not TOML",
    )


def _tables_of(text: str) -> tuple[dict[str, Any], bool]:
    """Return the tables of a file, and whether it is TOML; of one that is not, the lines that are by themselves."""
    try:
        return tomllib.loads(text), True
    except (ValueError, RecursionError):
        tables: dict[str, Any] = {}
        for part in _TABLE_START.split(text):
            head, *lines = part.splitlines() or [""]
            name = head.partition("#")[0].strip().strip("[]").strip()
            for line in lines:
                with suppress(ValueError, RecursionError):
                    tables[name] = tomllib.loads(line) | tables.get(name, {})
        return tables, False


def _text_of(tables: Mapping[str, Any], table: str, key: str, environ: Mapping[str, str]) -> str | None:
    """Return a value as a text, a list joined by commas; None without one, or with a reference that is not set."""
    section = tables.get(table)
    value = section.get(key) if isinstance(section, dict) else None
    text = ",".join(map(str, value)) if isinstance(value, list) else value
    if not isinstance(text, str) or "${" not in text:
        return text if isinstance(text, str) else None
    from relay.config.environment import expand  # noqa: PLC0415 - a health check must not pay for it

    expanded, missing = expand(text, environ)
    return None if missing else str(expanded)


def places_of_this_shell(path: Path | None) -> Places:
    """Return the places for a command with the environment of this process; see `find_places`."""
    return find_places(path, os.environ)
