"""`statsd-relay dead`: lists, shows, replays and drops dead letters, the points that the cloud refused."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay import limits
from relay.cli.running.find import say_source
from relay.cli.running.state import Asked, StateLocation, find_state, readable, state_options
from relay.cli.shared.options import whole
from relay.cli.shared.output import say
from relay.cli.shared.progress import progress
from relay.delivery.dead_letters import redrive
from relay.delivery.dead_letters.format import REASONS, LetterReader, letter_files
from relay.delivery.dead_letters.redrive import Redriven, Selection, replay_files
from relay.wording import as_size, as_time, plural, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.delivery.dead_letters.format import LetterLine

C = TypeVar("C", bound="Callable[..., None]")

TOP = 10
"""Number of metrics that `list` prints."""


@click.group()
def dead() -> None:
    """List, resend or delete dead letters: points that the cloud refused, or that could not be sent."""


def select_options(command: C) -> C:
    """Add the options that select letters to a command."""
    command = click.option("--metric", default="", metavar="GLOB", help="Only letters of these metrics.")(command)
    return click.option("--reason", default=None, type=click.Choice(REASONS), help="Only letters with this reason.")(
        command
    )


@dead.command(name="list")
@state_options
def list_(asked: Asked, *, as_json: bool) -> None:
    """Print the number of letters by reason and by metric."""
    location = find_state(asked)
    say_source(location.source, as_json=as_json)
    with readable(location.directory):
        summary = summarise(location)
    if as_json:
        say(json.dumps({**summary, "source": location.source.as_json()}, indent=2))
        return
    limit, bytes_ = as_size(summary["limit_bytes"]), as_size(summary["bytes"])
    say(f"{plural(summary['letters'], 'dead letter')} in {location.directory}, {bytes_} of {limit}")
    if summary["letters"]:
        say(f"windows {summary['oldest']} to {summary['newest']}")
    for what in ("reasons", "metrics"):
        for name, count in summary[what].items():
            say(f"  {what[:-1]} {printable(name):<40} {count:>8}")
    if summary["more_metrics"]:
        say(f"  and {plural(summary['more_metrics'], 'more metric')}")
    if summary["damaged"]:
        say(f"{plural(summary['damaged'], 'damaged line')}; `dead drop` without a filter removes them")
    if summary["replaying"]:
        say(f"waiting for the relay to send: {', '.join(summary['replaying'])}")


def summarise(location: StateLocation) -> dict[str, Any]:
    """Return what `list` prints."""
    files = letter_files(location.directory)
    size = sum(path.lstat().st_size for path in files)
    reasons, metrics = Counter[str](), Counter[str]()
    oldest, newest = 0, 0
    with progress("reading", size) as step:
        reader = LetterReader(step)
        for read in reader.read(files):
            reasons[read.letter.reason] += 1
            metrics[read.metric] += 1
            oldest = min(oldest or read.letter.window, read.letter.window)
            newest = max(newest, read.letter.window)
    return {
        "directory": str(location.directory),
        "letters": reasons.total(),
        "bytes": size,
        "limit_bytes": int(location.config.spool.dead_letters),
        "files": len(files),
        "oldest": as_time(oldest) if oldest else None,
        "newest": as_time(newest) if newest else None,
        "damaged": reader.damaged.total(),
        "reasons": dict(reasons.most_common()),
        "metrics": dict(metrics.most_common(TOP)),
        "more_metrics": max(0, len(metrics) - TOP),
        "replaying": [found.name for kind in ("taking", "ndjson") for found in replay_files(location.directory, kind)],
    }


@dead.command()
@state_options
@select_options
@click.option(
    "--last", default=20, show_default=True, type=whole(1, 100_000), help="Number of letters to print, newest last."
)
def show(asked: Asked, *, reason: str | None, metric: str, last: int, as_json: bool) -> None:
    """Print letters, newest last.

    --json prints them as they are stored, one per line, and their source on standard error.
    """
    location = find_state(asked)
    say_source(location.source)
    selection = Selection(reason=reason or "", metric=metric)
    with readable(location.directory):
        files = letter_files(location.directory)
        found = deque((read for read in LetterReader().read(files) if selection.matches(read)), maxlen=last)
    for read in found:
        say(printable_json(read.line.decode().rstrip("\n")) if as_json else in_words(read))


def in_words(read: LetterLine) -> str:
    """Return a letter as text: what happened, the cloud's detail, and the point as it was sent."""
    letter = read.letter
    how = ", ".join(
        text
        for text in (
            f"HTTP {letter.http}" if letter.http is not None else "",
            f"request {letter.request_id}" if letter.request_id else "",
            plural(letter.attempts, "attempt"),
        )
        if text
    )
    point = bytes(letter.point).decode("utf-8", "replace")
    head = f"{letter.time}  {letter.reason}  {read.metric}  window {as_time(letter.window)}  ({how})"
    rows = (head, f"    {json.dumps(letter.detail, ensure_ascii=False)}", f"    {point}")
    return "\n".join(map(printable, rows))


@dead.command()
@state_options
@select_options
@click.option("--dry-run", is_flag=True, help="Only count what would be sent again.")
def replay(asked: Asked, *, reason: str | None, metric: str, dry_run: bool, as_json: bool) -> None:
    """Send points again, once each.

    A running relay sends them within seconds, otherwise the next start does.
    """
    location = find_state(asked, changes=not dry_run)
    say_source(location.source, as_json=as_json)
    selection, now = Selection(reason=reason or "", metric=metric), time.time()
    oldest = now - min(location.config.cloud.max_age, limits.POINT_AGE_MAX)
    with readable(location.directory):
        size = sum(found.lstat().st_size for found in letter_files(location.directory))
        with progress("taking", size if dry_run else 2 * size) as step:
            if dry_run:
                counts = Redriven()
                for _ in redrive.select(location.directory, selection, oldest=oldest, counts=counts, progress=step):
                    pass
            else:
                counts = redrive.replay(location.directory, selection, now=now, oldest=oldest, progress=step)
    if as_json:
        say(json.dumps({**counts.figures(), "dry_run": dry_run, "source": location.source.as_json()}, indent=2))
        return
    say(f"{plural(counts.letters, 'point')} {'would be' if dry_run else 'will be'} sent again")
    _print_rest(counts)


@dead.command()
@state_options
@select_options
@click.option("--yes", is_flag=True, help="Confirm: deleted letters cannot be restored.")
def drop(asked: Asked, *, reason: str | None, metric: str, yes: bool, as_json: bool) -> None:
    """Delete letters; without --reason and --metric, all of them."""
    if not yes:
        raise click.UsageError("deleted letters cannot be restored: add --yes")
    location = find_state(asked, changes=True)
    say_source(location.source, as_json=as_json)
    selection = Selection(reason=reason or "", metric=metric)
    with readable(location.directory):
        size = sum(found.lstat().st_size for found in letter_files(location.directory))
        with progress("dropping", size) as step:
            dropped = redrive.drop(location.directory, selection, progress=step)
    if as_json:
        say(json.dumps({**dropped.figures(), "source": location.source.as_json()}, indent=2))
        return
    say(f"{plural(dropped.letters, 'letter')} dropped")


def _print_rest(counts: Redriven) -> None:
    for count, text in (
        (counts.duplicates, "with a point of another letter: it is sent once"),
        (counts.too_old, "too old for the cloud: kept, see [cloud] max_age"),
        (counts.damaged, "damaged: kept"),
    ):
        if count:
            say(f"{plural(count, 'letter')} {text}")
