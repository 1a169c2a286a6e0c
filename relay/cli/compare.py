"""`statsd-relay compare`: the old daemon's totals beside the relay's, over the same minutes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.assembly import Uncounted, make_namer, make_rules
from relay.clock import SystemClock
from relay.comparing.conclusion import conclude
from relay.comparing.flushes import Flushes
from relay.comparing.namespaces import WORDS, Namespaces, find_namespaces, under
from relay.comparing.receiver import Receiver
from relay.comparing.session import Phase, Session
from relay.comparing.stream import watch_windows
from relay.config.loading import load
from relay.config.types import Seconds
from relay.errors import ExitCode
from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from relay.comparing.report import Report
    from relay.config.schema import Config
    from relay.naming import Namer

Address = tuple[str, int]
PORT_MOST = 65_535
WINDOWS = 2
"""That are compared unless somebody says how long."""
_LOOK = 0.2
"""Seconds between two looks at the clock."""
DIFFERS = 1
"""Exit code: both sides are there, and they are not the same."""


@click.command()
@click.option(
    "--graphite",
    default="127.0.0.1:2003",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the old daemon's Graphite back end sends to.",
)
@click.option("--for", "duration", metavar="DURATION", help="How long to compare; default: two windows.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The file that the relay runs with.")
@click.option("--admin", metavar="HOST:PORT", help="The relay's admin port, instead of the configured one.")
@click.option("--prefix", help="What the old daemon puts before counters., timers., gauges., sets. (globalPrefix).")
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="CLASS=NAMESPACE",
    help="What it puts before the names of a class (counters, timers, gauges or sets).",
)
@click.option("--suffix", default="", help="What it puts behind every name (globalSuffix).")
@click.option("--all", "everything", is_flag=True, help="Every total, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(  # noqa: PLR0913 - click's way
    graphite: str,
    duration: str | None,
    path: Path | None,
    admin: str | None,
    *,
    prefix: str | None,
    mapped: tuple[str, ...],
    suffix: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Receive the old daemon's flushes and compare their totals with the relay's; exit 0 if they are the same.

    Point the old daemon's Graphite back end here (statsd: graphiteHost, graphitePort) while both get the same lines.
    """
    config, wanted = load(path, os.environ).config, read_duration(duration)
    said = read_namespaces(prefix, mapped)

    def learn(names: Iterable[str]) -> Namespaces | None:
        return find_namespaces(names, said=said, suffix=suffix.strip("."))

    flushes = Flushes(learn)
    listen = address(graphite, "--graphite")
    admin_port = address(admin or config.admin.listen, "--admin")
    session = asyncio.run(watch(flushes, listen, admin_port, wanted))
    report = conclude(
        session,
        flushes,
        namers=make_namers(config),
        reserved=config.telemetry.prefix,
        counter_scale=session.seconds if config.cloud.counter_values == "rate" else 1.0,
    )
    show(report, everything=everything, as_json=as_json)
    raise SystemExit(ExitCode.OK if report.is_fine else DIFFERS)


def make_namers(config: Config) -> dict[Kind, Namer]:
    """Return what the relay makes of a name, for each class apart."""
    rules = make_rules(config)
    return {kind: make_namer(config, rules, notices=Uncounted()) for kind in Kind}


async def watch(flushes: Flushes, listen: Address, admin: Address, duration: float) -> Session:
    """Watch both sides until there is enough, or nothing more comes.

    Raises:
        RelayError: the port cannot be bound; no relay answers, or it stops.
    """
    clock, receiver, progress = SystemClock(), Receiver(flushes, SystemClock()), Progress()
    async with watch_windows(*admin) as objects:
        head = await anext(objects)
        seconds = head["seconds"]
        session = Session(
            seconds=seconds, open_id=head["open"], duration=duration or WINDOWS * seconds, flushes=flushes
        )
        host, port = await receiver.start(*listen)
        progress.say(f"relay {head['version']} with windows of {seconds} s; {session.windows} of them are compared")
        progress.say(f"old daemon: its Graphite back end must send to {host}, port {port} (graphiteHost, graphitePort)")
        reading = asyncio.create_task(take_windows(objects, session))
        try:
            while session.look(clock.wall()) not in (Phase.DONE, Phase.FAILED):
                progress.update(session.phase, session.sentence(clock.wall()))
                await asyncio.wait([reading], timeout=_LOOK)
                if reading.done():
                    reading.result()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await reading
            await receiver.stop()
            progress.end()
    return session


async def take_windows(objects: AsyncIterator[dict[str, Any]], session: Session) -> None:
    """Give the session each window that the relay closes."""
    async for window in objects:
        session.take_window(window["start"], window["points"])


class Progress:
    """State: what was said last. On a terminal one line that changes, elsewhere a line whenever something begins."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._phase: Phase | None = None
        self._shown = ""

    def __repr__(self) -> str:
        """Report what was said."""
        return f"<Progress {self._shown!r}>"

    def say(self, line: str) -> None:
        """Print a line that stays."""
        click.echo(line, err=True)

    def update(self, phase: Phase, sentence: str) -> None:
        """Show what is going on."""
        if self._is_terminal and sentence != self._shown:
            click.echo(f"\r\x1b[K{sentence}", err=True, nl=False)
            self._shown = sentence
        elif phase is not self._phase and not self._is_terminal:
            self.say(sentence)
        self._phase = phase

    def end(self) -> None:
        """Take the changing line away."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def show(report: Report, *, everything: bool, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        for line in report.lines(everything=everything):
            click.echo(line)


def address(text: str, option: str) -> Address:
    """Read `HOST:PORT`; an empty host is every one of this machine.

    Raises:
        click.BadParameter: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= PORT_MOST):
        raise click.BadParameter(f'"{text}" must be HOST:PORT', param_hint=option)
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - an empty host is asked for


def read_duration(text: str | None) -> float:
    """Read a duration; 0 for none.

    Raises:
        click.BadParameter: with the rule.
    """
    try:
        return float(Seconds.parse(text)) if text else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from error


def read_namespaces(prefix: str | None, mapped: tuple[str, ...]) -> dict[Kind, str]:
    """Return what a person says of the old daemon's names.

    Raises:
        click.BadParameter: a class that there is not.
    """
    said = {} if prefix is None else under(prefix.strip("."))
    kinds = {word: kind for kind, word in WORDS.items()}
    for entry in mapped:
        word, equals, space = entry.partition("=")
        if not equals or word not in kinds:
            raise click.BadParameter(
                f'"{entry}" must be counters=..., timers=..., gauges=... or sets=...', param_hint="--map"
            )
        said[kinds[word]] = space.strip(".")
    return said
