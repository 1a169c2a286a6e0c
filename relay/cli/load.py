"""`statsd-relay load`: sends lines at a steady rate and prints their exact totals."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from relay.cli.shared.options import LENGTH, Parsed, decimal, json_option, whole
from relay.cli.shared.output import say
from relay.cli.shared.progress import progress
from relay.cli.shared.sender import figures, finish, playing, sentence, to_option
from relay.tools.traffic.mix import TYPES, Mix
from relay.tools.traffic.pace import Pace
from relay.wording import number

if TYPE_CHECKING:
    from relay.tools.traffic.mix import Total

_UNITS: Final = {"k": 1_000, "M": 1_000_000}
_RATE_MIN: Final = 0.001
_RATE_MAX: Final = 1_000_000_000
_SEED_MAX: Final = 2**32
_SERIES_MAX: Final = 1_000_000
_LINES_MAX: Final = 5_000
_WORDS: Final = {"g": "last values", "s": "distinct members"}
"""Meaning of the total of a type, where it is not the sum of the values."""


def parse_rate(text: str) -> float:
    """Parse a rate in lines a second.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    unit = _UNITS.get(text[-1:])
    try:
        return decimal(text[:-1] if unit else text, least=_RATE_MIN, most=_RATE_MAX, unit=unit or 1)
    except ValueError as error:
        raise ValueError(f"{error}: lines a second, such as 500, 200k or 1M") from error


@click.command()
@click.option("--rate", required=True, type=Parsed("R", parse_rate), help="Lines a second, such as 500, 200k or 1M.")
@click.option("--for", "seconds", type=LENGTH, default="10s", show_default=True, help="Duration of the load.")
@to_option
@click.option("--lines", default=10, show_default=True, type=whole(1, _LINES_MAX), help="Lines per datagram.")
@click.option("--series", default=1_000, show_default=True, type=whole(1, _SERIES_MAX), help="Number of metric names.")
@click.option(
    "--types",
    default="c,ms,g,s",
    show_default=True,
    metavar="LIST",
    help="Types of the names, in turn; c,c,g gives two counters for each gauge.",
)
@click.option("--tags", default="", metavar="K:V,K:V", help="Tags of every line.")
@click.option("--name", default="load", show_default=True, help="Prefix of every metric name.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=whole(0, _SEED_MAX),
    help="Seed of the random values.",
)
@json_option("Print the summary as JSON.")
def load(  # noqa: PLR0913 - its options
    *,
    rate: float,
    seconds: float,
    to: str,
    lines: int,
    series: int,
    types: str,
    tags: str,
    name: str,
    seed: int,
    as_json: bool,
) -> None:
    """Send lines at a steady rate, and print their exact totals to compare with what arrives."""
    check_words(name, tags)
    pace = Pace(rate=rate / lines, seconds=seconds)
    draw = random.Random(seed).randrange  # noqa: S311 - repeatable, not secret
    try:
        mix = Mix(types=parse_types(types), series=series, lines=lines, draw=draw, tags=tags, name=name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with playing(to) as player, progress("sending", pace.total) as step:
        player.load(mix.datagrams, pace, lines=lines, seconds=seconds, progress=step)
    totals = mix.totals(player.datagrams)
    planned = pace.total * lines
    if as_json:
        by_type = {kind: asdict(total) for kind, total in totals.items()}
        say(json.dumps({**figures(player, to), "planned_lines": planned, "types": by_type}, indent=2))
    else:
        say(f"{sentence(player, to)}\n{as_table(totals)}")
    finish(player, to)
    if player.lines < planned:
        reached = number(round(player.lines / player.seconds))
        sent = f"{number(player.lines)} of {number(planned)} lines, {reached} a second"
        say(f"the rate of {rate:.10g} lines/s was not reached: {sent}", err=True)


def check_words(name: str, tags: str) -> None:
    """Refuse characters that would end the name or the tags of a line.

    Raises:
        click.BadParameter: a text has such a character.
    """
    for option, text, forbidden in (("--name", name, ":|\n"), ("--tags", tags, "|\n")):
        if set(text) & set(forbidden):
            raise click.BadParameter(f"{text!r} must not hold any of {forbidden!r}", param_hint=option)


def parse_types(text: str) -> list[str]:
    """Parse a list of types.

    Raises:
        click.BadParameter: an entry is not a type.
    """
    types = text.split(",")
    if not set(types) <= set(TYPES):
        raise click.BadParameter(f'"{text}" must be a list of {",".join(TYPES)}', param_hint="--types")
    return types


def as_table(totals: dict[str, Total]) -> str:
    """Return the totals by type as a table."""
    rows = [("type", "lines", "series", "total", "of")]
    for kind, total in totals.items():
        figures_ = (number(total.lines), number(total.series), number(total.sum))
        rows.append((kind, *figures_, _WORDS.get(kind, "values")))
    return "\n".join(f"{row[0]:<5}{row[1]:>16}{row[2]:>12}{row[3]:>20}  {row[4]}" for row in rows)
