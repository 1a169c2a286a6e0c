"""Shared by the commands that read the state directory: its options, its location and its errors."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import config_option, json_option
from relay.config.loading import load
from relay.delivery.state.directory import home_directory, state_directory
from relay.errors import unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.config.schema import Config


@dataclass(frozen=True, slots=True)
class StateLocation:
    """A state directory and the configuration that names it."""

    directory: Path
    config: Config


def state_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that locate the state directory, and `--json`, to a command."""
    for option in (
        json_option(),
        click.option(
            "--state", type=click.Path(path_type=Path), help="State directory, instead of the configured one."
        ),
        config_option("Configuration file that names the state directory."),
    ):
        command = option(command)
    return command


def find_state(path: Path | None, state: Path | None) -> StateLocation:
    """Return the state directory that `run` uses with the same file and environment.

    Raises:
        RelayError: there is no state directory, or the configuration is wrong.
    """
    config = load(path, os.environ).config
    directory = state or state_directory(config.spool, os.environ, home_directory())
    if directory is None:
        raise unusable('[spool] path is "none": nothing is kept on disk', "name a directory with --state")
    if not directory.is_dir():
        raise unusable(f"no state directory {directory}", "name it with --state, or the relay's file with -c")
    return StateLocation(directory, config)


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
