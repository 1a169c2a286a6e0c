"""Converts configurations of other StatsD daemons to the relay's, with a report of every line. No I/O.

A reader (readers/: javascript, yamltree, tomltree, envtree) parses the file into a tree of values with their places. An
importer (statsd, statsd_exporter, gostatsd, datadog) writes their meaning into a ConfigBuilder; its table of options is
the one of deploy/MIGRATING.md. Nothing is executed, and no file but the configuration is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, get_args

from relay.errors import ConfigError, Problem
from relay.tools.importers import datadog, datadog_profiles, gostatsd, gostatsd_filters, statsd, statsd_exporter
from relay.tools.importers.config_builder import ConfigBuilder
from relay.tools.importers.detect import Format, detect, unsupported
from relay.tools.importers.readers import envtree, javascript, tomltree, yamltree
from relay.tools.importers.readers.tree import Node, NotReadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
_PART: Final = "give only the part that is the daemon's configuration"
_NAME: Final = re.compile(r"([ ]*(?:- )?[\"']?)([A-Za-z_][\w-]*)")
_OPTIONS: Final[dict[str, Collection[str]]] = {
    "statsd": statsd.OPTIONS,
    "statsd_exporter": {**statsd_exporter.DEFAULTS, **statsd_exporter.MAPPING},
    "gostatsd": {**gostatsd.OPTIONS, **gostatsd_filters.OPTIONS},
    "datadog": {**datadog.OPTIONS, **datadog_profiles.PROFILE, **datadog_profiles.MAPPING},
}


def convert(text: str, *, source: str, format_: Format | None = None, is_utf8: bool = True) -> ConfigBuilder:
    """Convert a configuration to one of the relay.

    Args:
        text: content of the file.
        source: name of the file, for the report.
        format_: the daemon it belongs to; None: detected from the text.
        is_utf8: whether the file was UTF-8. If not, U+FFFD replaces the invalid bytes, as in Node; other daemons refuse
            such a file.

    Raises:
        ConfigError: RLY103, the text cannot be parsed, is not of that daemon, or is of no known daemon.
    """
    found = format_ or detect(text)
    if found is None or unsupported(text):
        raise ConfigError(_strange(text, source))
    if not is_utf8 and found != "statsd":
        raise ConfigError(Problem(code="RLY103", message=f"{source} is not UTF-8 text"))
    daemon, convert_text = _DAEMONS[found]
    builder = ConfigBuilder(daemon, source, is_first_match=found != "gostatsd")
    try:
        convert_text(text, builder)
        return builder.settle()
    except NotReadable as error:
        raise ConfigError(_problem(error, text, source, found)) from error


def _strange(text: str, source: str) -> Problem:
    what = unsupported(text)
    message = f"{source}: {what or 'not a known configuration'}"
    return Problem(
        code="RLY103", message=message, fix=_PART if what else f"name its daemon: --from {'|'.join(FORMATS)}"
    )


def _check_names(tree: Node, names: Collection[str], daemon: str) -> None:
    """Refuse a file without a single option of the daemon: its report would list defaults only."""
    known = {name.partition(".")[0] for name in names}
    if not known & {name.lower() if daemon == gostatsd.DAEMON else name for name in tree.members}:
        raise NotReadable(f"no option of {daemon} is in it", line=1, column=1, fix=_PART)


def _problem(error: NotReadable, text: str, source: str, format_: Format) -> Problem:
    """Return the error at its place; of the line only the name of an option is shown, as the rest may be secret."""
    lines = text.splitlines() or [""]
    found = _NAME.match(lines[min(error.line, len(lines)) - 1])
    is_known = found is not None and any(found[2] in name.split(".") for name in _OPTIONS[format_])
    return Problem(
        code="RLY103",
        message=str(error),
        fix=error.fix or "correct it, or name its daemon with --from",
        source=source,
        line=error.line,
        column=error.column,
        text=found[0] if found and is_known else "",
    )


def _statsd(text: str, builder: ConfigBuilder) -> None:
    module = javascript.read(text)
    if module.config.members or module.statements:
        _check_names(module.config, statsd.OPTIONS, statsd.DAEMON)
    statsd.convert(module, builder)


def _statsd_exporter(text: str, builder: ConfigBuilder) -> None:
    tree = _object(yamltree.read(text))
    _check_names(tree, statsd_exporter.DEFAULTS, statsd_exporter.DAEMON)
    _report_second(text, builder)
    statsd_exporter.convert(tree, builder)


def _gostatsd(text: str, builder: ConfigBuilder) -> None:
    tree = _object(_toml_or_yaml(text))
    _check_names(tree, gostatsd.OPTIONS, gostatsd.DAEMON)
    gostatsd.convert(tree, builder)


def _report_second(text: str, builder: ConfigBuilder) -> None:
    if line := yamltree.second_document(text):
        builder.report("dropped", Node(None, line), "a second document", f"{builder.daemon} does not read it either")


def _toml_or_yaml(text: str) -> Node:
    if text.lstrip().startswith("{"):
        return yamltree.read(text)
    try:
        return tomltree.read(text)
    except NotReadable:
        tree = yamltree.read(text) if "=" not in text.partition("\n")[0] else None
        if tree is None or not tree.members:
            raise
        return tree


def _datadog(text: str, builder: ConfigBuilder) -> None:
    variables = envtree.read(text, datadog.PREFIX)
    tree = variables if variables.members else yamltree.read(text)
    if not variables.members and not isinstance(tree.value, list):
        names = [name for name in tree.members if name.startswith(datadog.DOGSTATSD_PREFIXES)]
        _check_names(_object(tree), {*datadog.OPTIONS, *datadog.AGENT_OPTIONS, *names}, datadog.DAEMON)
    if isinstance(tree.value, list) and not any("mappings" in item.members for item in tree.value):
        raise NotReadable("no profile with mappings is in it", line=1, column=1, fix=_PART)
    _report_second("" if variables.members else text, builder)
    datadog.convert(tree if isinstance(tree.value, list) else _object(tree), builder)


def _object(tree: Node) -> Node:
    if not isinstance(tree.value, dict):
        raise NotReadable("expected options with names", line=tree.line, column=tree.column)
    return tree


_DAEMONS: Final[dict[str, tuple[str, Callable[[str, ConfigBuilder], None]]]] = {
    "statsd": (statsd.DAEMON, _statsd),
    "statsd_exporter": (statsd_exporter.DAEMON, _statsd_exporter),
    "gostatsd": (gostatsd.DAEMON, _gostatsd),
    "datadog": (datadog.DAEMON, _datadog),
}
"""Name of each daemon, in its own spelling, and the function that converts its configuration."""
