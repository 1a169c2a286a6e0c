"""Shared by the commands that read the state directory: its options, its location and its errors."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.running.effective import fetch_config, load_file, rebuild
from relay.cli.running.find import RunningRelay, find_relay
from relay.cli.running.places import places_of_this_shell
from relay.cli.shared.options import json_option, relay_options
from relay.delivery.state.directory import holder
from relay.errors import unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import NoRelay
    from relay.config.schema import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDirectory:
    """A state directory that the command line names."""

    path: Path

    def __str__(self) -> str:
        """Return what a command says on standard error."""
        held = holder(self.path)
        used = f"used by the relay with pid {held.main or held.worker}" if held else "no relay uses it"
        return f"state directory {self.path}, {used}"

    def as_json(self) -> dict[str, Any]:
        """Return the `source` of `--json`."""
        return {"relay": None, "state_directory": str(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLocation:
    """A state directory, the configuration with its limits, and what has told of both."""

    directory: Path
    config: Config
    source: RunningRelay | NoRelay | NamedDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line says about the relay and its state directory."""

    admin: Sequence[Address] | None
    path: Path | None
    state: Path | None


def state_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that locate the state directory, passed as `asked`, and `--json`, to a command."""

    @wraps(command)
    def call(*, admin: Sequence[Address] | None, path: Path | None, state: Path | None, **others: object) -> object:
        return command(Asked(admin=admin, path=path, state=state), **others)

    directory = click.option(
        "--state", type=click.Path(path_type=Path), help="State directory, instead of that of the relay."
    )
    return relay_options(directory(json_option()(call)))


def find_state(asked: Asked, *, changes: bool = False) -> StateLocation:
    """Return the state directory of the running relay; if none runs, that of the file, else a usual one.

    Args:
        asked: what the command line says.
        changes: the command changes what is in the directory.

    Raises:
        RelayError: there is no state directory here, or the configuration is wrong.
        click.UsageError: the command changes something, and the relay runs with another file than the given one.
    """
    if asked.state:
        source = NamedDirectory(path=asked.state)
        return _checked(StateLocation(directory=asked.state, config=load_file(asked.path).config, source=source))
    found = find_relay(asked.admin, asked.path)
    if isinstance(found, RunningRelay) and found.index.worker:
        if changes:
            _check_file(asked.path, found)
        return _of_relay(found)
    config = load_file(asked.path).config
    if config.spool.path == "none":
        raise unusable('[spool] path is "none": nothing is kept on disk', "name a directory with --state")
    directories = [Path(config.spool.path)] if config.spool.path else places_of_this_shell(asked.path).directories
    directory = next(filter(_is_there, directories), None)
    if directory is None:
        looked = " or ".join(map(str, directories))
        raise unusable(f"no state directory {looked}", "name it with --state, or the relay's file with -c")
    return _checked(StateLocation(directory=directory, config=config, source=found))


def _of_relay(relay: RunningRelay) -> StateLocation:
    index = relay.index
    if not index.state_directory:
        raise unusable('[spool] path is "none": nothing is kept on disk', "name a directory with --state")
    directory, answer = Path(index.state_directory), fetch_config(relay) if relay.address else None
    config = rebuild(answer) if answer else load_file(None).config
    location = _checked(StateLocation(directory=directory, config=config, source=relay))
    held = holder(directory)
    if held is None or held.worker != index.worker:
        message = f"the relay on {index.host} does not use {directory} of this machine"
        raise unusable(message, "run the command where the relay runs: on that machine, or in its container")
    return location


def _check_file(path: Path | None, relay: RunningRelay) -> None:
    """Refuse a file that the relay does not run with: the letters of another relay are meant."""
    if path is None or (relay.index.file and path.resolve() == Path(relay.index.file).resolve()):
        return
    file = relay.index.file or "no file"
    raise click.UsageError(f"{relay}: it runs with {file}, not with {path}; leave out -c, or name --state DIR")


def _is_there(directory: Path) -> bool:
    """Return whether a directory exists; one that this user may not look into counts."""
    try:
        return directory.is_dir()
    except PermissionError:
        return True


def _checked(location: StateLocation) -> StateLocation:
    """Check that a state directory exists and that this user may read it.

    Raises:
        RelayError: RLY101.
    """
    directory = location.directory
    if not _is_there(directory):
        raise unusable(f"no state directory {directory}", "name it with --state, or the relay's file with -c")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise unusable(f"cannot look into {directory}: Permission denied", "run it as the relay's user or as root")
    return location


@contextmanager
def readable(directory: Path) -> Iterator[None]:
    """Turn an OSError into a RelayError.

    Raises:
        RelayError: RLY101, with the path.
    """
    try:
        yield
    except FileNotFoundError as error:
        missing = f"{directory} holds no {Path(error.filename or '').name}: no relay has used it"
        raise unusable(missing, "name the relay's state directory with --state, or its file with -c") from error
    except OSError as error:
        raise unusable(
            f"cannot use {error.filename or directory}: {error.strerror or error}",
            "run the command as the relay's user or as root; is there room on the disk?",
        ) from error
