"""`statsd-relay config`: the values in force, the reference of keys, and the JSON Schema."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from relay.cli.options import config_option, json_option
from relay.cli.output import say
from relay.config import render
from relay.config.json_schema import json_schema
from relay.config.loading import load

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def config() -> None:
    """Show what the relay is configured with, and what can be configured."""


@config.command()
@config_option()
@json_option()
def show(path: Path | None, *, as_json: bool) -> None:
    """Print every key with its value and origin.

    Secrets are masked.
    """
    rows = render.in_force(load(path, os.environ))
    if as_json:
        say(json.dumps(rows, indent=2))
        return
    settings = [f"{row['key']} = {row['value']}" for row in rows]
    width = max(len(setting) for setting, row in zip(settings, rows, strict=True) if len(row["value"]) < 60)
    for setting, row in zip(settings, rows, strict=True):
        say(f"{setting:<{width}}  # {row['origin']}")


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
