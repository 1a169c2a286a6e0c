"""Prints the output of commands; characters that would control a terminal are escaped."""

from __future__ import annotations

import sys

import click

from relay.wording import printable_lines


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of one or more lines, which may contain untrusted characters."""
    click.echo(printable_lines(text), err=err, nl=nl)


def has_terminal() -> bool:
    """Say whether standard input is a terminal, so that a person can be asked; it may also be closed."""
    return sys.stdin is not None and sys.stdin.isatty()
