"""Prints what a command says, with no character in it that a terminal would obey."""

from __future__ import annotations

import click

from relay.wording import printable_lines


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of several lines, in which there may be bytes of others."""
    click.echo(printable_lines(text), err=err, nl=nl)
