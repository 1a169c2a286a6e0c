"""`statsd-relay check`: every problem of a configuration at once, before it runs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.options import json_option
from relay.cli.output import say
from relay.config.credentials import find_credentials
from relay.config.loading import load
from relay.delivery.state.directory import home_directory
from relay.errors import ConfigError, ExitCode, Problem
from relay.wording import plural

if TYPE_CHECKING:
    from relay.config.schema import CloudConfig


@click.command()
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@json_option("Print the problems as JSON.")
def check(path: Path | None, *, as_json: bool) -> None:
    """Check FILE and the environment; print every problem with its place and its fix."""
    problems = find_problems(path)
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        say(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        for problem in problems:
            say(str(problem), err=True)
        counts = f"{plural(len(errors), 'error')}, {plural(len(problems) - len(errors), 'warning')}"
        say(counts if problems else "ok")
    raise SystemExit(ExitCode.CONFIGURATION if errors else ExitCode.OK)


def find_problems(path: Path | None) -> list[Problem]:
    """Return the problems at which `run` would stop or warn; an unknown variable is an error here."""
    try:
        loaded = load(path, os.environ)
    except ConfigError as error:
        return [_strict(problem) for problem in error.problems]
    return [*map(_strict, loaded.warnings), *credential_problems(loaded.config.cloud)]


def _strict(problem: Problem) -> Problem:
    return replace(problem, severity="error") if problem.source == "environment" else problem


def credential_problems(cloud: CloudConfig) -> list[Problem]:
    """Return the problems of the credentials.

    Missing credentials are a warning, since a file is often checked on a machine that has none. A malformed credential
    in a file or a variable is an error.
    """
    if cloud.provider != "jdcloud":
        return []
    try:
        return list(find_credentials(cloud, os.environ, home_directory()).warnings)
    except ConfigError as error:
        return [problem if problem.source else replace(problem, severity="warning") for problem in error.problems]
