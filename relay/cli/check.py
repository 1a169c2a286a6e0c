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
from relay.daemon.lifecycle.problems import find_problems
from relay.delivery.state.directory import home_directory
from relay.errors import ConfigError, ExitCode
from relay.wording import plural

if TYPE_CHECKING:
    from relay.config.schema import CloudConfig
    from relay.errors import Problem


@click.command()
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--without-credentials", is_flag=True, help="Accept a machine without them: for CI.")
@json_option("Print the problems as JSON.")
def check(path: Path | None, *, without_credentials: bool, as_json: bool) -> None:
    """Check FILE and the environment as `run` does; print every problem with its place and its fix."""
    problems = find_problems(path, with_credentials=not without_credentials)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if as_json:
        counts = {"file": str(path) if path else None, "errors": errors, "warnings": warnings}
        say(json.dumps({**counts, "problems": [asdict(problem) for problem in problems]}, indent=2))
    else:
        for problem in problems:
            say(str(problem))
        say(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}" if problems else "ok")
    raise SystemExit(ExitCode.CONFIGURATION if errors else ExitCode.OK)


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
