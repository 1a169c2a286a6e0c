"""`statsd-relay import`: converts the configuration of another StatsD daemon, with a report of every option."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.shared.options import json_option
from relay.cli.shared.output import say
from relay.cli.shared.output_file import write
from relay.config.toml.places import read_bytes
from relay.errors import Problem
from relay.tools.importers import FORMATS, convert
from relay.wording import plural

if TYPE_CHECKING:
    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.detect import Format

_STDIN: Final = Path("-")
_VERDICTS: Final = ("ok", "changed", "by hand", "dropped")


@click.command(name="import")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file; default: standard output.")
@click.option(
    "--from", "format_", type=click.Choice(FORMATS), help="Daemon of FILE; default: detected from its content."
)
@click.option("--force", is_flag=True, help="Replace an existing output file.")
@json_option("Print the report as JSON, with the configuration unless -o is given.")
def import_(path: Path, output: Path | None, format_: Format | None, *, force: bool, as_json: bool) -> None:
    """Convert FILE to a configuration of the relay, with a report of every option.

    FILE is config.js of statsd/statsd, mapping.yml of statsd_exporter, gostatsd.toml or datadog.yaml; - is standard
    input. FILE is read and never executed. Lines of the report that begin with "by hand" need a decision (RLY140). The
    command check --without-credentials finds no error in the result.
    """
    text, is_utf8 = _read(path)
    builder = convert(text, source="standard input" if path == _STDIN else str(path), format_=format_, is_utf8=is_utf8)
    text = builder.toml()
    if output:
        write(output, text, is_private=builder.holds_secret, force=force)
    if as_json:
        say(json.dumps(_as_json(builder, None if output else text), indent=2))
    else:
        _print(builder, text, output)
    if builder.needs_person:
        # The exit code stays 0: the result can be used, as after warnings of `check`. Scripts read "by_hand" of --json.
        message = f"{plural(builder.needs_person, 'line')} of the report on {path} to decide by hand"
        fix = "see the lines that begin with: by hand"
        say(str(Problem(code="RLY140", severity="warning", message=message, fix=fix)), err=True)


def _read(path: Path) -> tuple[str, bool]:
    """Return the text, and whether it is UTF-8."""
    content = read_bytes(Path("/dev/stdin"), timeout=None) if path == _STDIN else read_bytes(path)
    try:
        return content.decode(), True
    except UnicodeDecodeError:
        return content.decode(errors="replace"), False


def _as_json(builder: ConfigBuilder, text: str | None) -> dict[str, Any]:
    report = {
        "daemon": builder.daemon,
        "by_hand": builder.needs_person,
        "report": [asdict(entry) for entry in builder.lines],
    }
    return report if text is None else {**report, "toml": text}


def _print(builder: ConfigBuilder, text: str, output: Path | None) -> None:
    """Print the report; to standard error if the configuration is printed to standard output."""
    if output is None:
        say(text, nl=False)
    for entry in builder.lines:
        say(str(entry), err=output is None)
    counts = Counter(entry.verdict for entry in builder.lines)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS)
    where = f"wrote {output}: " if output else ""
    then = f". Next: statsd-relay check {output}" if output else ""
    say(f"{where}{summary}{then}", err=output is None)
