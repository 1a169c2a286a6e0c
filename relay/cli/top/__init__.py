"""`statsd-relay top`: a live view of a running relay on a terminal; elsewhere one JSON object a second."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from relay.cli.running.find import need_relay, say_source
from relay.cli.series.columns import output_width
from relay.cli.shared.interrupt import Interrupt
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.cli.top.figures import Figures
from relay.cli.top.frame import Shape, frame_lines
from relay.cli.top.live import run_live
from relay.cli.top.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import RunningRelay

_ONCE_LINES = 24


@click.command()
@click.option("--once", is_flag=True, help="Print one frame of plain text, and end.")
@relay_options
@json_option("Print one JSON object a second, also on a terminal.")
def top(admin: Sequence[Address] | None, path: Path | None, *, once: bool, as_json: bool) -> None:
    """Show a running relay live: lines, losses, metrics, tags, senders, rules, windows.

    Keys: tab next table, s sort, r reverse, / filter, enter one metric, t tap, space hold, ? help, q quit.
    """
    relay = need_relay(admin, path)
    figures = Figures(relay.reached())
    if once:
        _print_once(relay, figures, as_json=as_json)
    elif as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        _print_objects(relay, figures)
    else:
        run_live(figures)


def _print_once(relay: RunningRelay, figures: Figures, *, as_json: bool) -> None:
    view = View()
    figures.refresh(view)
    if as_json:
        say(json.dumps({**figures.as_json(), "source": relay.as_json()}, indent=2))
        return
    say_source(relay)
    shape = Shape(width=output_width(), height=_ONCE_LINES, is_ascii=True)
    for line in frame_lines(figures, view, shape):
        say(line)


def _print_objects(relay: RunningRelay, figures: Figures) -> None:
    """Print one JSON object a second until a signal comes, or until the reader is gone."""
    view = View()
    with Interrupt() as interrupt:
        while not interrupt.is_interrupted:
            figures.refresh(view)
            say(json.dumps({**figures.as_json(), "source": relay.as_json()}))
            sys.stdout.flush()
            interrupt.wait(1.0)
