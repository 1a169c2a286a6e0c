"""`statsd-relay series`: which metrics have how many series and why, or all that is known of one name."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import click
import msgspec

from relay.admin.answers.senders import SendersAnswer
from relay.admin.answers.series import NameAnswer, SeriesAnswer
from relay.cli.running.admin_client import WALK_TIMEOUT, fetch
from relay.cli.running.find import need_relay, say_source
from relay.cli.series.columns import output_width
from relay.cli.series.one import name_lines
from relay.cli.series.senders import sender_lines
from relay.cli.series.table import series_lines
from relay.cli.series.tap_senders import find_senders
from relay.cli.shared.options import DURATION, json_option, relay_options, whole
from relay.cli.shared.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import RunningRelay

_ORDERS: Final = ("series", "growth", "samples", "tags", "senders")
_TOP_MOST: Final = 1000
_GLOB: Final = frozenset("*?[")
"""Characters that make an argument a glob: no name as sent has them."""


@click.command()
@click.argument("what", metavar="[NAME|GLOB]", default="")
@click.option("--by", type=click.Choice(_ORDERS), default="series", help="Order; senders: who sends, instead.")
@click.option("--top", type=whole(1, _TOP_MOST), default=20, metavar="N", help="Rows that are listed; default: 20.")
@click.option(
    "--for", "seconds", type=DURATION, default="3s", metavar="T", help="Most time to look for senders of a NAME: 3s."
)
@relay_options
@json_option()
def series(  # noqa: PLR0913 - its options
    what: str,
    admin: Sequence[Address] | None,
    path: Path | None,
    *,
    by: str,
    top: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Show the metrics with the most series, the tag that makes them many, and the rule that removes it.

    A GLOB such as "web.*" selects metrics by the name as sent; * matches dots, too. A NAME, as received or as sent,
    shows its series, who sends it, its last 15 points with the answer of the cloud, or why it has none.
    """
    if by == "senders" and what:
        raise click.BadParameter("senders are not counted by metric", param_hint="--by")
    relay = need_relay(admin, path)
    answer, lines = _ask(relay, what, by=by, top=top, seconds=seconds)
    say_source(relay, as_json=as_json)
    if as_json:
        say(json.dumps({**msgspec.to_builtins(answer), "source": relay.as_json()}, indent=2))
        return
    for line in lines:
        say(line)


def _ask_name(address: Address, name: str, seconds: float, *, width: int) -> tuple[Any, Iterable[str]]:
    """Return what is known of a name, with the senders that a tap of some seconds sees."""
    one = fetch(address, f"/api/v1/series/{quote(name, safe='')}", NameAnswer, timeout=WALK_TIMEOUT)
    senders = find_senders(address, one.received or [one.name], seconds) if one.series else {}
    told = sorted(set(chain.from_iterable(senders.values())))
    return {**msgspec.to_builtins(one), "senders": told}, name_lines(one, senders, width=width)


def _ask(relay: RunningRelay, what: str, *, by: str, top: int, seconds: float) -> tuple[Any, Iterable[str]]:
    """Return the answer of the relay, and its lines."""
    address, width = relay.reached(), output_width()
    if by == "senders":
        senders = fetch(address, f"/api/v1/senders?{urlencode({'top': top})}", SendersAnswer)
        return senders, sender_lines(senders, width=width)
    if what and not _GLOB & set(what):
        return _ask_name(address, what, seconds, width=width)
    query = urlencode({"glob": what, "by": by, "top": top})
    table = fetch(address, f"/api/v1/series?{query}", SeriesAnswer, timeout=WALK_TIMEOUT)
    return table, series_lines(table, by=by, file=relay.index.file, width=width)
