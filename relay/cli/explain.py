"""`statsd-relay explain`: what an error code means."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Final

import click

from relay.cli.pages import pages
from relay.errors import CODES

_CODE: Final = re.compile(r"RLY\d*", re.IGNORECASE)
_WIDTH: Final = 100


@click.command()
@click.argument("what", metavar="CODE")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(what: str, *, as_json: bool) -> None:
    """Say what an error CODE means, what usually causes it, and what to do."""
    explain_code(what.upper(), as_json=as_json)


def explain_code(code: str, *, as_json: bool) -> None:
    """Print the page of a code.

    Raises:
        click.BadParameter: there is no such code.
    """
    if code not in CODES:
        raise click.BadParameter(f"there is no code {code}; there are {', '.join(CODES)}")
    page = pages()[code]
    if as_json:
        click.echo(json.dumps({"code": code, "meaning": CODES[code], **page._asdict()}, indent=2))
        return
    click.echo(_fill(f"{code}  {CODES[code]}", "", " " * 8))
    for title, entries in (("usual causes", page.causes), ("what to do", page.remedies)):
        click.echo(f"\n{title}")
        for entry in entries:
            click.echo(_fill(entry, "  - ", "    "))


def _fill(text: str, first: str, others: str) -> str:
    """Break a text into lines; a command's option must not break at its hyphens."""
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
