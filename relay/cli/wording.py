"""What commands write for people: numbers, sizes and times, and no character that a terminal would obey."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from relay.wording import printable_lines


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of several lines, in which there may be bytes of others."""
    click.echo(printable_lines(text), err=err, nl=nl)


def number(value: int) -> str:
    """Group digits: 184 201."""
    return f"{value:,}".replace(",", " ")


def plural(count: int, word: str) -> str:
    """Return `1 letter`, `2 letters`, `1 000 letters`."""
    return f"{number(count)} {word}" if count == 1 else f"{number(count)} {word}s"


def as_size(size: float) -> str:
    """Return bytes: `512 B`, `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def as_time(seconds: float) -> str:
    """Return a wall time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def as_hour(moment: float) -> str:
    """Return HH:MM:SS, or HH:MM on a full minute, in local time."""
    return time.strftime("%H:%M:%S" if int(moment) % 60 else "%H:%M", time.localtime(moment))
