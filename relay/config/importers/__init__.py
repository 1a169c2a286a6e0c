"""Configurations of other StatsD daemons, read and turned into ours, with a report of every line. No I/O.

A reader (javascript, yamltree, tomltree, envtree) makes a tree of values with their places; an importer (statsd,
statsd_exporter, gostatsd, datadog) writes what they mean into a draft. Its table of options is the one of
deploy/MIGRATING.md. No daemon's program is run, and no file of it is needed but the configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from relay.config.importers import datadog, envtree, gostatsd, javascript, statsd, statsd_exporter, tomltree, yamltree
from relay.config.importers.draft import Draft
from relay.config.importers.recognise import Format, recognise
from relay.config.importers.report import is_secret
from relay.config.importers.tree import Node, NotReadable
from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
BYTES_MOST: Final = 1_048_576
_SHOWN: Final = 200
"""Characters of a line that an error shows."""


def convert(text: str, *, source: str, format_: Format | None = None) -> Draft:
    """Turn a configuration into ours.

    Args:
        text: what is in the file.
        source: what the file is called, for the report.
        format_: whose it is; None: told from the text.

    Raises:
        ConfigError: RLY103, it cannot be read, or nobody's language is told from it.
    """
    found = format_ or recognise(text)
    if found is None:
        fix = f"say whose it is: --from {'|'.join(FORMATS)}"
        raise ConfigError(Problem(code="RLY103", message=f"{source}: no configuration that is known", fix=fix))
    try:
        return _CONVERT[found](text, source).settle()
    except NotReadable as error:
        raise ConfigError(_problem(error, text, source)) from error


def _problem(error: NotReadable, text: str, source: str) -> Problem:
    """Point at the place; the line itself is shown unless it may hold a secret, or the place is far out in it."""
    lines = text.splitlines() or [""]
    line = "".join(char if char.isprintable() else " " for char in lines[min(error.line, len(lines)) - 1])
    return Problem(
        code="RLY103",
        message=str(error),
        fix="correct it, or say whose it is with --from",
        source=source,
        line=error.line,
        column=error.column,
        text="" if is_secret(line) or error.column > _SHOWN else line[:_SHOWN],
    )


def _statsd(text: str, source: str) -> Draft:
    draft = Draft(statsd.DAEMON, source)
    statsd.convert(javascript.read(text), draft)
    return draft


def _statsd_exporter(text: str, source: str) -> Draft:
    draft = Draft(statsd_exporter.DAEMON, source)
    statsd_exporter.convert(_object(yamltree.read(text)), draft)
    return draft


def _gostatsd(text: str, source: str) -> Draft:
    draft = Draft(gostatsd.DAEMON, source, is_first_match=False)
    gostatsd.convert(_object(_toml_or_yaml(text)), draft)
    return draft


def _toml_or_yaml(text: str) -> Node:
    try:
        return tomltree.read(text)
    except NotReadable:
        tree = yamltree.read(text) if "=" not in text.partition("\n")[0] else None
        if tree is None or not tree.members:
            raise
        return tree


def _datadog(text: str, source: str) -> Draft:
    draft = Draft(datadog.DAEMON, source)
    variables = envtree.read(text, datadog.PREFIX)
    tree = variables if variables.members else yamltree.read(text)
    datadog.convert(tree if isinstance(tree.value, list) else _object(tree), draft)
    return draft


def _object(tree: Node) -> Node:
    if not isinstance(tree.value, dict):
        raise NotReadable("expected options with names", line=tree.line, column=tree.column)
    return tree


_CONVERT: Final[dict[str, Callable[[str, str], Draft]]] = {
    "statsd": _statsd,
    "statsd_exporter": _statsd_exporter,
    "gostatsd": _gostatsd,
    "datadog": _datadog,
}
