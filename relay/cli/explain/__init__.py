"""`statsd-relay explain`: traces a line or a name to its points, explains an error code, or shows the rules' hits."""

from __future__ import annotations

import json
import os
import re
import textwrap
import time
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from relay.admin.answers.rules import RulesAnswer
from relay.cli.explain.codes import pages
from relay.cli.explain.rules import rule_lines
from relay.cli.running.admin_client import fetch
from relay.cli.running.effective import find_effective
from relay.cli.running.find import need_relay, say_source
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.daemon.explain.text import name_rows, rows
from relay.daemon.explain.trace import trace_line, trace_name
from relay.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.effective import TriedFile
    from relay.cli.running.find import RunningRelay
    from relay.config.schema import Config

_CODE: Final = re.compile(r"RLY\d*", re.IGNORECASE)
_WIDTH: Final = 100


@click.command()
@click.argument("what", metavar="[LINE|NAME|CODE]", required=False)
@relay_options
@json_option()
def explain(what: str | None, admin: Sequence[Address] | None, path: Path | None, *, as_json: bool) -> None:
    """Trace a LINE, or a NAME as each type, through every step to the points that would be sent.

    For a CODE such as RLY310: its meaning, the usual causes, and what to do. Without an argument: the rules of the
    running relay, the number of names that each rule matched, and the newest names that no rule matched.
    """
    source: RunningRelay | TriedFile | None = None
    if what and _CODE.fullmatch(what):
        found, lines = _code(what.upper())
    elif what is None:
        source = need_relay(admin, path)
        found, lines = _rules(source)
    else:
        effective = find_effective(admin, path)
        source = effective.source
        found, lines = _line_or_name(what, effective.config)
    if as_json:
        say(json.dumps({**found, "source": source.as_json()} if source else found, indent=2))
        return
    if source:
        say_source(source)
    for line in lines:
        say(line)


def _line_or_name(what: str, config: Config) -> tuple[dict[str, Any], Iterable[str]]:
    """Trace a line or a name; a rejected line is an answer, not an error of the command."""
    text, now = os.fsencode(what), time.time()
    if b"\n" in text:
        raise click.BadParameter("one line at a time")
    if b":" in text or b"|" in text:
        line = trace_line(config, text, now)
        return line.to_json(), map(str, rows(line, config))
    types = trace_name(config, text, now)
    return {kind: one.to_json() for kind, one in types.items()}, map(str, name_rows(types, config))


def _rules(relay: RunningRelay) -> tuple[dict[str, Any], Iterable[str]]:
    found = fetch(relay.reached(), "/api/v1/rules", RulesAnswer)
    return msgspec.to_builtins(found), rule_lines(found)


def _code(code: str) -> tuple[dict[str, Any], Iterable[str]]:
    if code not in CODES:
        raise click.BadParameter(f"there is no code {code}; there are {', '.join(CODES)}")
    page = pages()[code]
    lines = [_fill(f"{code}  {CODES[code]}", "", " " * 8)]
    for title, entries in (("usual causes", page.causes), ("what to do", page.remedies)):
        lines += ["", title, *(_fill(entry, "  - ", "    ") for entry in entries)]
    return {"code": code, "meaning": CODES[code], **page._asdict()}, lines


def _fill(text: str, first: str, others: str) -> str:
    """Wrap a text into lines without breaking at hyphens, which would split options."""
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
