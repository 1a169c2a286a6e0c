"""`statsd-relay config`: the values in force, the reference of keys, and the JSON Schema."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Final

import click
import msgspec

from relay.cli.running.effective import find_effective
from relay.cli.running.find import say_source
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.config import render
from relay.config.json_schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relay.admin.answers.config import ConfigValue
    from relay.cli.running.admin_client import Address

_WIDTH: Final = 80
_GAP: Final = 2


@click.group()
def config() -> None:
    """Show what the relay is configured with, and what can be configured."""


@config.command()
@relay_options
@click.option("--all", "everything", is_flag=True, help="Also the keys that have their default.")
@json_option()
def show(admin: Sequence[Address] | None, path: Path | None, *, everything: bool, as_json: bool) -> None:
    """Print what is in force in the running relay, and from where.

    Without a relay, or with the -c FILE of a change: what would be in force. Secrets are masked.
    """
    found = find_effective(admin, path)
    say_source(found.source, as_json=as_json)
    values = [one for one in found.values.values if everything or not one.is_default]
    if as_json:
        answer = msgspec.to_builtins(msgspec.structs.replace(found.values, values=values))
        say(json.dumps({**answer, "source": found.source.as_json()}, indent=2))
        return
    for line in value_lines(values):
        say(line)


def value_lines(values: Sequence[ConfigValue]) -> Iterator[str]:
    """Yield a line for each key, with the origin in one column; within 80 columns, else the origin has its own line."""
    rows = [(f"{one.key} = {one.text}", f"# {_short(one.origin)}") for one in values]
    longest = max((len(origin) for _, origin in rows), default=0)
    column = max((len(setting) for setting, _ in rows if len(setting) + _GAP + longest <= _WIDTH), default=0)
    for setting, origin in rows:
        width = max(column, len(setting))
        if width + _GAP + len(origin) <= _WIDTH:
            yield f"{setting:<{width}}{' ' * _GAP}{origin}"
        else:
            yield from (*_wrapped(setting), f"    {origin}")


def _short(origin: str) -> str:
    """Return an origin without the folder of its file, which the line on standard error names."""
    place, colon, line = origin.rpartition(":")
    return f"{place.rpartition('/')[2]}:{line}" if colon and line.isdigit() else origin


def _wrapped(setting: str) -> list[str]:
    """Return a long list as TOML of several lines; any other value in one line."""
    if len(setting) <= _WIDTH or not setting.endswith("]"):
        return [setting]
    key, _, items = setting.partition(" = [")
    wrapped = textwrap.wrap(items[:-1], _WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return [f"{key} = [", *(f"    {line}" for line in wrapped), "]"]


@config.command()
@json_option("Print every key with its variable as JSON.")
def example(*, as_json: bool) -> None:
    """Print a file with every key, its default and its help."""
    say(json.dumps(render.reference(), indent=2) if as_json else render.example())


@config.command()
@json_option("Print every key with its variable as JSON.")
def env(*, as_json: bool) -> None:
    """Print the environment variables that the relay reads."""
    say(json.dumps(render.reference(), indent=2) if as_json else render.environment())


@config.command()
@json_option("The schema is JSON in any case.")
def schema(*, as_json: bool) -> None:  # noqa: ARG001 - every command has the option
    """Print a JSON Schema of the file, for editors."""
    say(json.dumps(json_schema(), indent=2))
