"""`statsd-relay init`: a first configuration, from at most four questions."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.shared.options import Parsed, json_option
from relay.cli.shared.output import has_terminal, say
from relay.cli.shared.output_file import check_place, write
from relay.config.validate import REGION_RULE, REGIONS, is_legal_key, is_region
from relay.daemon.lifecycle.problems import find_problems
from relay.errors import ExitCode
from relay.tools.first_file import LOCAL, SOURCES, Answers, first_file, parse_senders, secret_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.errors import Problem


def parse_region(text: str) -> str:
    """Parse a region.

    Raises:
        ValueError: with the rule.
    """
    if not text or not is_region(text):
        raise ValueError(REGION_RULE)
    return text


def parse_environment(text: str) -> str:
    """Parse the value of the dimension `env`, which may be empty.

    Raises:
        ValueError: with the rule.
    """
    if text and not is_legal_key(text):
        raise ValueError("must be letters, digits, dots and underscores, or empty")
    return text


_REGION: Final = Parsed("region", parse_region)
_SENDERS: Final = Parsed("networks", lambda text: parse_senders(text) if isinstance(text, str) else text)
_ENVIRONMENT: Final = Parsed("name", parse_environment)
_SOURCE: Final = click.Choice(SOURCES)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default="relay.toml", show_default=True, help="File.")
@click.option("--region", type=_REGION, help=f"Region in Cloud Monitor: {', '.join(REGIONS)}.")
@click.option("--credentials", type=_SOURCE, help="Where the key is: JDCLOUD_ variables, files, or ~/.jdc/config.")
@click.option("--senders", type=_SENDERS, help='"local": programs of this machine; or networks (CIDR), by commas.')
@click.option("--env", "environment", type=_ENVIRONMENT, help='Dimension env of every series; "": none.')
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option("Print the result as JSON.")
def init(*, output: Path, force: bool, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - the four answers
    """Write a first configuration: what differs from the defaults, readable by you only.

    It asks for what no option gives, on a terminal; without one each of the four options is needed.
    """
    check_place(output, force=force)
    answers = ask(given)
    write(output, first_file(answers, output.absolute().parent), is_private=True, force=force)
    problems = find_problems(output)
    steps = next_steps(output, answers, problems)
    if as_json:
        result = {"file": str(output), "problems": [asdict(one) for one in problems], "next": steps}
        say(json.dumps(result, indent=2))
    else:
        say("\n".join([f"wrote {output}", *map(str, problems), *(f"next: {step}" for step in steps)]))
    is_wrong = any(one.severity == "error" for one in find_problems(output, with_credentials=False))
    raise SystemExit(ExitCode.CONFIGURATION if is_wrong else ExitCode.OK)


def ask(given: dict[str, Any]) -> Answers:
    """Return the given answers, and ask for the others.

    Raises:
        click.UsageError: an answer is missing, and there is no terminal to ask on.
    """
    missing = [f"--{'env' if name == 'environment' else name}" for name, value in given.items() if value is None]
    if missing and not has_terminal():
        raise click.UsageError(f"without a terminal, these are needed too: {', '.join(missing)}")
    for name, (question, default, type_) in _questions().items():
        if given[name] is None:
            given[name] = click.prompt(question, default=default, type=type_, show_choices=False, err=True)
    return Answers(**given)


def _questions() -> dict[str, tuple[str, str, Any]]:
    """Return the question, the default and the type of each answer."""
    region = os.environ.get("JDCLOUD_REGION_ID", "")
    profile = Path("~/.jdc/config").expanduser().is_file()
    source = "environment" if os.environ.get("JDCLOUD_ACCESS_KEY_ID") else "profile" if profile else "file"
    return {
        "region": (f"Region ({', '.join(REGIONS)})", region if is_region(region) and region else REGIONS[0], _REGION),
        "credentials": (
            "Key from: environment (JDCLOUD_...), file, or profile (~/.jdc/config)",
            source,
            _SOURCE,
        ),
        "senders": ("Who sends: local, or networks such as 172.16.0.0/12 for containers", LOCAL, _SENDERS),
        "environment": ("Dimension env of every series, such as production (empty: none)", "", _ENVIRONMENT),
    }


def next_steps(output: Path, answers: Answers, problems: Sequence[Problem]) -> list[str]:
    """Return what the operator does next, each as a command where it is one."""
    file = shlex.quote(str(output))
    if not any(problem.severity == "error" for problem in problems):
        return [f"statsd-relay check --online {file}", f"statsd-relay run -c {file}"]
    if answers.credentials == "file":
        files = secret_files(output.absolute().parent).values()
        made = [f"(umask 077; cat > {shlex.quote(str(path))})" for path in files if not path.exists()]
        return [*(f"{command}   # paste the value, Enter, Ctrl-D" for command in made), f"statsd-relay check {file}"]
    return [f"statsd-relay check {file}"]
