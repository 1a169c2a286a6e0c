"""`statsd-relay check`: every problem of a configuration at once, before it runs."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from relay.cli.shared.options import FILE, json_option
from relay.cli.shared.output import say
from relay.config import find_file
from relay.config.credentials import find_credentials
from relay.config.loading import load
from relay.daemon.lifecycle.canary import find_refusals, send_canaries
from relay.daemon.lifecycle.problems import find_problems
from relay.delivery.state.directory import home_directory
from relay.errors import ConfigError, ExitCode
from relay.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relay.config.schema import CloudConfig, Config
    from relay.daemon.lifecycle.canary import CanaryAnswer
    from relay.errors import Problem


@click.command()
@click.argument("path", metavar="[FILE]", required=False, type=FILE)
@click.option("--without-credentials", is_flag=True, help="Accept a machine without them: for CI.")
@click.option("--online", is_flag=True, help="Send two points to the cloud, and print what it says.")
@json_option("Print the problems and answers as JSON.")
def check(path: Path | None, *, without_credentials: bool, online: bool, as_json: bool) -> None:
    """Check FILE and the environment as `run` does; print every problem with its place and its fix."""
    if online and without_credentials:
        raise click.UsageError("--online needs the credentials: leave --without-credentials out")
    given, path = path, find_file(path)
    if given is None and not as_json:
        say(f"file {path}" if path else "no file: defaults and the environment", err=True)
    problems = find_problems(path, with_credentials=not without_credentials)
    answers: list[CanaryAnswer] = []
    if online and not any(map(_is_error, problems)):
        config = load(path, os.environ).config
        answers = ask_cloud(config)
        problems += find_refusals(answers, config)
    if as_json:
        say(json.dumps(summarise(path, problems, answers), indent=2))
    else:
        say("\n".join([*in_words(answers), *map(str, problems), verdict(problems)]))
        if online and not answers:
            say("nothing was sent to the cloud: a relay would not start")
    raise SystemExit(exit_code(problems))


def ask_cloud(config: Config) -> list[CanaryAnswer]:
    """Send the points to the cloud of a configuration.

    Raises:
        click.UsageError: the configuration sends to a file or to standard output.
    """
    if config.cloud.provider != "jdcloud":
        raise click.UsageError(f'--online is for [cloud] provider = "jdcloud", not "{config.cloud.provider}"')
    return asyncio.run(send_canaries(config))


def in_words(answers: Sequence[CanaryAnswer]) -> Iterator[str]:
    """Yield a line for each answer of the cloud, and one for the clock."""
    for one in answers:
        verdict_ = "accepted" if one.is_accepted else "refused" if one.status else "no answer"
        status = f"HTTP {one.status}" if one.status else ""
        request = f"request {one.request_id}" if one.request_id else ""
        figures = (f"type {one.type}", verdict_, status, f"{one.seconds * 1000:.0f} ms", request)
        yield "  ".join([f"{one.metric:<24}", *filter(None, figures)])
    ahead = next((one.clock_ahead for one in answers if one.clock_ahead is not None), None)
    if ahead is not None:
        yield f"this clock is right ({ahead:+.1f} s)" if abs(ahead) < 2 else f"this clock is off: {ahead:+.1f} s"


def summarise(path: Path | None, problems: Sequence[Problem], answers: Sequence[CanaryAnswer]) -> dict[str, Any]:
    """Return what `--json` prints."""
    errors = sum(map(_is_error, problems))
    return {
        "file": str(path) if path else None,
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [asdict(problem) for problem in problems],
        "answers": [one.to_json() for one in answers],
    }


def verdict(problems: Sequence[Problem]) -> str:
    """Return the last line: `ok`, or the number of problems."""
    errors = sum(map(_is_error, problems))
    return f"{plural(errors, 'error')}, {plural(len(problems) - errors, 'warning')}" if problems else "ok"


def exit_code(problems: Sequence[Problem]) -> ExitCode:
    """Return the exit code: of refused credentials, of an unreachable cloud, or of a configuration with an error."""
    codes = {problem.code for problem in problems if _is_error(problem)}
    if "RLY120" in codes:
        return ExitCode.CREDENTIALS_REFUSED
    if codes & {"RLY401", "RLY405"}:
        return ExitCode.UNREACHABLE
    return ExitCode.CONFIGURATION if codes else ExitCode.OK


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


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
