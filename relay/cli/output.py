"""Prints the output of commands; characters that would control a terminal are escaped."""

from __future__ import annotations

import click

from relay.wording import printable_lines


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of one or more lines, which may contain untrusted characters."""
    click.echo(printable_lines(text), err=err, nl=nl)
