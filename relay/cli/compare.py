"""`statsd-relay compare`: compares the old daemon's totals with the relay's over the same windows."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from relay.cli.running.effective import fetch_config, load_file, rebuild
from relay.cli.running.find import need_relay, say_source
from relay.cli.shared.options import LENGTH, PLACE, json_option, relay_options
from relay.cli.shared.output import say
from relay.cli.shared.progress import ChangingLine
from relay.clock import SystemClock
from relay.daemon.build import make_namer, make_rules
from relay.errors import ExitCode
from relay.model import Kind
from relay.tools.compare.flushes import Flushes
from relay.tools.compare.namespaces import WORDS, Namespaces, find_namespaces, under
from relay.tools.compare.receiver import Receiver
from relay.tools.compare.report_builder import build_report
from relay.tools.compare.session import Phase, Session
from relay.tools.compare.stream import watch_windows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.config.schema import Config
    from relay.naming import Namer

WINDOWS = 2
"""Windows compared by default."""
_POLL = 0.2
"""Seconds between two checks of the clock."""
DIFFERS = 1
"""Exit code: the totals of the two sides differ, or nothing could be compared."""


@click.command()
@click.option(
    "--graphite",
    type=PLACE,
    default="127.0.0.1:2003",
    show_default=True,
    help="Address to listen on for the old daemon's Graphite back end.",
)
@click.option("--for", "duration", type=LENGTH, help="Duration; default: two windows.")
@relay_options
@click.option("--prefix", help="The old daemon's prefix of counters., timers., gauges. and sets. (globalPrefix).")
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="CLASS=NAMESPACE",
    help="The old daemon's prefix of one class: counters, timers, gauges or sets.",
)
@click.option("--suffix", default="", help="The old daemon's suffix of every name (globalSuffix).")
@click.option("--all", "everything", is_flag=True, help="Print every total instead of the first 50.")
@json_option()
def compare(  # noqa: PLR0913 - click's way
    graphite: Address,
    duration: float | None,
    admin: Sequence[Address] | None,
    path: Path | None,
    *,
    prefix: str | None,
    mapped: tuple[str, ...],
    suffix: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Receive the old daemon's flushes and compare its totals with the relay's.

    The exit code is 0 if every compared total is equal or within the bound.

    Point the old daemon's Graphite back end here (statsd: graphiteHost, graphitePort), and give both the same lines.
    """
    given = read_namespaces(prefix, mapped)
    relay = need_relay(admin, path)
    say_source(relay, as_json=as_json)
    answer = fetch_config(relay)
    config = rebuild(answer) if answer else load_file(path).config

    def find(names: Iterable[str]) -> Namespaces | None:
        return find_namespaces(names, given=given, suffix=suffix.strip("."))

    flushes = Flushes(find)
    session = asyncio.run(watch(flushes, graphite, relay.reached(), duration or 0.0))
    report = build_report(
        session,
        flushes,
        namers=make_namers(config),
        reserved=config.telemetry.prefix,
        counter_scale=session.seconds if config.cloud.counter_values == "rate" else 1.0,
    )
    lines = (
        [json.dumps({**report.as_json(), "source": relay.as_json()}, indent=2)]
        if as_json
        else report.lines(everything=everything)
    )
    for line in lines:
        say(line)
    raise SystemExit(ExitCode.OK if report.is_fine else DIFFERS)


def make_namers(config: Config) -> dict[Kind, Namer]:
    """Return a separate namer for each class, with the rules of the configuration."""
    rules = make_rules(config)
    return {kind: make_namer(config, rules) for kind in Kind}


async def watch(flushes: Flushes, listen: Address, admin: Address, duration: float) -> Session:
    """Receive from both sides until the comparison is complete or fails; a duration of 0 stands for two windows.

    Raises:
        RelayError: the port cannot be bound, no relay answers, or the relay stops.
    """
    clock, receiver, line = SystemClock(), Receiver(flushes, SystemClock()), ChangingLine()
    async with watch_windows(*admin) as objects:
        head = await anext(objects)
        seconds = head["seconds"]
        session = Session(
            seconds=seconds, open_id=head["open"], duration=duration or WINDOWS * seconds, flushes=flushes
        )
        host, port = await receiver.start(*listen)
        line.say(f"relay {head['version']} with windows of {seconds} s; {session.windows} of them are compared")
        line.say(f"old daemon: its Graphite back end must send to {host}, port {port} (graphiteHost, graphitePort)")
        receiving = asyncio.create_task(collect_windows(objects, session))
        try:
            while session.update(clock.wall()) not in (Phase.DONE, Phase.FAILED):
                line.update(session.phase, session.sentence(clock.wall()))
                await asyncio.wait([receiving], timeout=_POLL)
                if receiving.done():
                    receiving.result()
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await receiving
            await receiver.stop()
            line.end()
    return session


async def collect_windows(objects: AsyncIterator[dict[str, Any]], session: Session) -> None:
    """Give the session each window that the relay closes."""
    async for window in objects:
        session.add_window(window["start"], window["points"])


def read_namespaces(prefix: str | None, mapped: tuple[str, ...]) -> dict[Kind, str]:
    """Return the namespaces given by --prefix and --map.

    Raises:
        click.BadParameter: an entry of --map names no class.
    """
    given = {} if prefix is None else under(prefix.strip("."))
    kinds = {word: kind for kind, word in WORDS.items()}
    for entry in mapped:
        word, equals, space = entry.partition("=")
        if not equals or word not in kinds:
            raise click.BadParameter(
                f'"{entry}" must be counters=..., timers=..., gauges=... or sets=...', param_hint="--map"
            )
        given[kinds[word]] = space.strip(".")
    return given
