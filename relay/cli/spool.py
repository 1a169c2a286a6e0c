"""`statsd-relay spool`: shows and verifies the requests that wait to be sent; a relay may run meanwhile."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import click

from relay.cli.running.find import say_source
from relay.cli.running.state import Asked, StateLocation, find_state, readable, state_options
from relay.cli.shared.output import say
from relay.cli.shared.progress import progress
from relay.delivery.state import inspect
from relay.delivery.state.directory import DATABASE
from relay.errors import ExitCode, unusable
from relay.hotpath.partial import decode_frames
from relay.jdcloud.codec import decode
from relay.wording import as_size, as_time, plural


@click.group()
def spool() -> None:
    """Show or verify the requests that wait in the state directory."""


@spool.command()
@state_options
def stat(asked: Asked, *, as_json: bool) -> None:
    """Print the number of waiting requests and the file sizes."""
    location = find_state(asked)
    say_source(location.source, as_json=as_json)
    summary = summarise(location)
    if as_json:
        say(json.dumps({**summary, "source": location.source.as_json()}, indent=2))
        return
    pid = summary["pid"]
    say(f"{location.directory}: {'no relay runs' if pid is None else f'used by the relay with pid {pid}'}")
    waiting = f"{plural(summary['points'], 'point')} in {plural(summary['batches'], 'request')}"
    say(f"{waiting} wait, {as_size(summary['bytes'])} of {as_size(summary['limit_bytes'])}")
    if summary["windows"]:
        first, last = summary["windows"][0]["time"], summary["windows"][-1]["time"]
        say(f"of {plural(len(summary['windows']), 'window')}, {first} to {last}")
    for name, size in summary["files"].items():
        say(f"  {name:<40} {as_size(size):>12}")


def summarise(location: StateLocation) -> dict[str, Any]:
    """Return what `stat` prints.

    Raises:
        RelayError: the spool cannot be read.
    """
    with readable(location.directory):
        try:
            found = inspect.inspect_state(location.directory)
        except sqlite3.Error as error:
            message = f"cannot read {location.directory / DATABASE}: {error}"
            raise unusable(message, "run statsd-relay spool verify for details") from error
    return {
        "directory": str(location.directory),
        "pid": found.pid,
        "batches": sum(waiting.batches for waiting in found.windows),
        "points": sum(waiting.points for waiting in found.windows),
        "bytes": sum(waiting.bytes for waiting in found.windows),
        "limit_bytes": int(location.config.spool.max),
        "windows": [{"time": as_time(waiting.window), **waiting._asdict()} for waiting in found.windows],
        "files": found.files,
    }


@spool.command()
@state_options
def verify(asked: Asked, *, as_json: bool) -> None:
    """Read every stored file, and print damage.

    Reads every waiting request, checkpoint and dead letter. The exit code is 70 if one is damaged.
    """
    location = find_state(asked)
    say_source(location.source, as_json=as_json)
    with readable(location.directory):
        try:
            batches = inspect.count_batches(location.directory)
        except sqlite3.Error:
            batches = 0  # verify says what is wrong
        with progress("verifying", batches) as step:
            wrong = list(
                inspect.verify(
                    location.directory, read_timestamps=read_timestamps, count_damage=count_damage, progress=step
                )
            )
    if as_json:
        found = {"directory": str(location.directory), "batches": batches, "wrong": wrong}
        say(json.dumps({**found, "source": location.source.as_json()}, indent=2))
    else:
        for sentence in wrong:
            say(sentence, err=True)
        checked = f"{plural(batches, 'request')} verified in {location.directory}"
        say(f"{checked}: {plural(len(wrong), 'problem')}" if wrong else f"{checked}: all can be sent")
    raise SystemExit(ExitCode.INTERNAL if wrong else ExitCode.OK)


def count_damage(checkpoint: bytes) -> int:
    """Return the number of places at which a checkpoint is damaged."""
    return decode_frames(checkpoint)[1]


def read_timestamps(body: bytes) -> list[int]:
    """Return the timestamps of a request's points.

    Raises:
        ValueError: the body is not a request.
    """
    try:
        return [int(point["timestamp"]) for point in decode(body)["metricDataList"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no points: {error!r}") from error
