"""Makes the supervisor's plan from a configuration, after the preflight checks.

The form of a plan is in supervisor/plan.py.
"""

from __future__ import annotations

import os
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Final, NamedTuple

import relay
from relay.config import find_file
from relay.config.credentials import find_credentials
from relay.config.loading import load
from relay.daemon.build import ingest_settings, wanted_sockets
from relay.delivery.state.directory import StateDirectory, holder, home_directory, state_directory
from relay.errors import ExitCode, Problem, RelayError
from relay.supervisor.log import wants_text
from relay.supervisor.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from relay.config.loading import Loaded

MIN_UPTIME: Final = 10.0
"""Seconds after which the end of a ready worker is not an early failure; at most a sixth of a window, for tests."""


class RunOptions(NamedTuple):
    """Options of `run`, but for the path of the configuration."""

    dry_run: bool = False
    take_over: bool = False
    as_json: bool = False
    """The log is JSON, whatever `[log] format` says."""


def load_for_run(path: Path | None, options: RunOptions, *, text: str | None = None) -> Loaded:
    """Load the configuration as `run` does: from the file, else from the default file if it exists.

    Args:
        path: the file that the command line names.
        options: of the command line.
        text: used instead of the content of the file.

    Raises:
        ConfigError: all problems of the configuration.
    """
    # A dry run uses no state directory: the requests that wait there belong to the real cloud.
    overrides = {"cloud.provider": "stdout", "spool.path": "none"} if options.dry_run else {}
    if options.as_json:
        overrides["log.format"] = "json"
    return load(find_file(path), os.environ, overrides=overrides, text=text)


def check_program(loaded: Loaded) -> None:
    """Check all that could end a worker at its start: every module of this release, credentials, certificates.

    Raises:
        RelayError: RLY502, a module cannot be imported; RLY103, RLY110.
    """
    for module in walk_packages(relay.__path__, "relay."):
        try:
            import_module(module.name)
        except Exception as error:
            message = f"{module.name} cannot be imported: {type(error).__name__}: {error}"
            problem = Problem(code="RLY502", message=message, fix="install the release again, then upgrade")
            raise RelayError(problem, exit_code=ExitCode.INTERNAL) from error
    from relay.daemon.cloud import prepare  # noqa: PLC0415 - a first start must not pay for it

    prepare(loaded)


def check_files(loaded: Loaded) -> None:
    """Check credentials, certificates and the output file at a first start; a later worker starts without them.

    Raises:
        ConfigError: RLY103, RLY110.
    """
    if loaded.config.cloud.ca_file or loaded.config.cloud.provider == "file":
        from relay.daemon.cloud import prepare  # noqa: PLC0415 - a start without a file of certificates must not pay for it

        prepare(loaded)
    else:
        find_credentials(loaded.config.cloud, os.environ, home_directory())


def check_state(state: Path | None) -> None:
    """Check the state directory before the sockets are opened, so that a failing start receives no packets.

    Raises:
        RelayError: RLY101, RLY104, RLY105, the state directory cannot be used.
    """
    running = holder(state) if state else None
    is_replacement = running is not None and running.main == os.getppid()  # the present worker holds the directory
    if state is not None and not is_replacement:
        StateDirectory.open(state).close()


def make_plan(loaded: Loaded, *, take_over: bool, generation: int = 1) -> Plan:
    """Return the plan of a configuration.

    Its text is "" without a file, so that a file which appears later takes effect by a reload alone.

    Raises:
        RelayError: RLY900, the native hot path is configured and not installed.
    """
    config = loaded.config
    return Plan(
        wanted=wanted_sockets(config, take_over=take_over),
        steady=min(MIN_UPTIME, config.window.seconds / 6),
        state=str(state_directory(config.spool, os.environ, home_directory()) or ""),
        is_text=wants_text(config.log.format),
        level=config.log.level,
        ingest=ingest_settings(config).to_json(),
        text=loaded.text or "",
        generation=generation,
    )
