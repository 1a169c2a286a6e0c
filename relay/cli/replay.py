"""`statsd-relay replay`: sends the datagrams of a pcap file again with their original spacing."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.shared.options import Parsed, decimal, json_option, whole
from relay.cli.shared.output import say
from relay.cli.shared.progress import follow, progress
from relay.cli.shared.sender import figures, finish, playing, sentence, to_option
from relay.config.addresses import PORT_MOST
from relay.errors import ExitCode, Problem, RelayError
from relay.tools.traffic.pace import Spacing
from relay.tools.traffic.pcap import FormatError, PcapReader
from relay.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.tools.traffic.pcap import Received

_WORDS: Final = {
    "not_udp": "not UDP",
    "fragment": "fragments of larger packets",
    "cut_off": "captured in part; tcpdump -s 0 captures all",
    "malformed": "malformed",
    "other_port": "to other ports",
}
"""Reason of a skipped packet -> words for the output."""
_SPEED_MIN: Final = 0.001
_SPEED_MAX: Final = 1_000_000


def parse_speed(text: str) -> float:
    """Parse a speed factor; 0 stands for `max`.

    Raises:
        ValueError: the text breaks the rule; the message is the rule.
    """
    try:
        return 0.0 if text == "max" else decimal(text, least=_SPEED_MIN, most=_SPEED_MAX)
    except ValueError as error:
        raise ValueError(f"{error}; or max") from error


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@to_option
@click.option(
    "--speed",
    type=Parsed("N", parse_speed),
    default="1",
    show_default=True,
    help="Factor of the speed: 10 is ten times as fast, max does not wait.",
)
@click.option("--port", type=whole(1, PORT_MOST), help="Only datagrams to this port.")
@json_option("Print the summary as JSON.")
def replay(file: Path, to: str, speed: float, port: int | None, *, as_json: bool) -> None:
    """Send the datagrams in FILE, from capture or tcpdump -w, with their original spacing."""
    spacing = Spacing(speed)
    with (
        opened(file, port or 0) as reader,
        playing(to) as player,
        progress("replaying", file.stat().st_size) as step,
    ):
        player.replay(followed(reader, step), spacing)
    if as_json:
        say(json.dumps({"file": str(file), **figures(player, to), **left_out(reader)}, indent=2))
    else:
        say(sentence(player, to))
    print_left_out(reader, file)
    finish(player, to)


@contextmanager
def opened(file: Path, port: int) -> Iterator[PcapReader]:
    """Open a pcap file.

    Raises:
        RelayError: RLY103, the file cannot be read, or is not a supported pcap file.
    """
    try:
        with file.open("rb") as source:
            yield PcapReader(source, Counter(), port=port)
    except FormatError as error:
        raise _unreadable(f"{file} {error}", error.fix.format(file=file)) from error
    except OSError as error:
        reason = f"cannot read {file}: {error.strerror or error}"
        raise _unreadable(reason, "name a file that this user can read") from error


def _unreadable(message: str, fix: str) -> RelayError:
    return RelayError(Problem(code="RLY103", message=message, fix=fix), exit_code=ExitCode.CONFIGURATION)


def followed(reader: PcapReader, step: Callable[[int], object]) -> Iterator[Received]:
    """Yield the datagrams of a reader and move a progress bar by the bytes read."""
    advance = follow(step, lambda: reader.offset)
    for received in reader:
        yield received
        advance()


def left_out(reader: PcapReader) -> dict[str, Any]:
    """Return the skipped packets and the damage of the file, for `--json`."""
    return {"skipped": dict(reader.skipped), "damage": reader.damage and f"{reader.damage} at byte {reader.offset}"}


def print_left_out(reader: PcapReader, file: Path) -> None:
    """Print the skipped packets and the damage of the file."""
    for reason, count in reader.skipped.items():
        say(f"{plural(count, 'packet')} skipped: {_WORDS[reason]}", err=True)
    if reader.damage:
        rest = file.stat().st_size - reader.offset
        say(f"{file} {reader.damage} at byte {reader.offset}: the last {rest} bytes were not used", err=True)
