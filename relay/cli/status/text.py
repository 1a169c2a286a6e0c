"""The text of `status`: the verdict, then one row for each part of the data path; 80 columns."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from relay.admin.verdict import all_well
from relay.wording import as_duration, as_size, as_window, number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.admin.answers.status import StatusAnswer, StatusFinding

WIDTH: Final = 80
_ALSO_MOST: Final = 5
_LABEL: Final = 10
_INSIDE_A_NUMBER: Final = re.compile(r"(?<=\d) (?=(?:\d{3}|%|s|min|h|d|B|KiB|MiB|GiB)(?!\w))")
"""The spaces between groups of digits, and before a unit."""
_SENDING: Final = ("RLY120", "RLY404", "RLY402", "RLY405", "RLY401")
_ROWS: Final = {
    "in": ("RLY202", "RLY203", "RLY204", "RLY205", "RLY106", "RLY201"),
    "lines": ("RLY301", "RLY305", "RLY123", "RLY503"),
    "series": ("RLY310", "RLY311", "RLY302", "RLY303", "RLY304"),
    "cloud": (*_SENDING, "RLY403", "RLY122", "RLY112"),
    "waiting": (*_SENDING, "RLY406", "RLY410", "RLY411", "RLY407", "RLY408", "RLY413", "RLY412"),
    "books": ("RLY504",),
    "config": ("RLY502", "RLY102", "RLY111", "RLY121", "RLY131"),
}
"""Rows, and the codes of findings that mark them."""


def status_lines(answer: StatusAnswer) -> Iterator[str]:
    """Yield the lines."""
    yield _head(answer)
    yield from _verdict(answer)
    marked = {finding.code for finding in answer.findings}
    rows = {
        "in": _input(answer),
        "lines": _lines(answer),
        "rules": _rules(answer),
        "series": _series(answer),
        "cloud": _cloud(answer),
        "waiting": _waiting(answer),
        "books": _books(answer),
        "config": _config(answer),
    }
    for label, (text, command) in rows.items():
        mark = "!" if marked.intersection(_ROWS.get(label, ())) else " "
        yield from row(f"{label:<8}{mark} ", text, command)


def row(label: str, text: str, command: str = "") -> Iterator[str]:
    """Yield a label, a text that wraps beside it, and a command in the last column."""
    body = _wrapped(text, WIDTH - len(label)) or [""]
    for place, line in enumerate(body):
        start = (label if place == 0 else " " * len(label)) + line
        is_last = place == len(body) - 1
        fits = len(start) + 2 + len(command) <= WIDTH
        if not is_last or not command:
            yield start.rstrip()
        elif fits:
            yield start + command.rjust(WIDTH - len(start))
        else:
            yield start
            yield command.rjust(WIDTH)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; a number stays in one line with its digits and its unit: 50 000, 51 s."""
    kept = _INSIDE_A_NUMBER.sub("\N{NO-BREAK SPACE}", printable(text))
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(kept, width, break_on_hyphens=False)]


def _head(answer: StatusAnswer) -> str:
    up = as_duration((answer.time - answer.started).total_seconds())
    left = "  ".join(
        filter(None, [f"statsd-relay {answer.version}", printable(answer.host), f"pid {answer.pid}", f"up {up}"])
    )
    local = answer.time.astimezone()
    zone = f"{local:%z}"
    right = f"{local:%H:%M:%S} {zone[:3]}:{zone[3:]}"
    return left + right.rjust(max(len(right) + 2, WIDTH - len(left)))


def _verdict(answer: StatusAnswer) -> Iterator[str]:
    """Yield what is wrong, or that all is well; notes stand below."""
    findings = answer.findings
    if answer.level in ("ok", "note"):
        yield from row("OK  ", all_well(answer))
    else:
        worst, *findings = findings
        yield from row(f"{worst.level.upper()}  {worst.code}  ", worst.sentence)
        shown = "" if worst.next.startswith(("explain", "status")) else f"statsd-relay {worst.next}"
        for label, text in (("cloud", worst.cloud), ("fix", worst.fix), ("safe", worst.safe), ("next", shown)):
            if text:
                yield from row(f"  {label:<8}", text)
    yield from _also(findings)


def _also(findings: list[StatusFinding]) -> Iterator[str]:
    for finding in findings[:_ALSO_MOST]:
        yield from row(f"{'also':<{_LABEL}}{finding.code}  ", finding.sentence, finding.next)
    if findings[_ALSO_MOST:]:
        yield from row(f"{'':<{_LABEL}}", f"and {len(findings) - _ALSO_MOST} more", "status --json")


def _input(answer: StatusAnswer) -> tuple[str, str]:
    one = answer.input
    if one.last_packet is None:
        return "no packet since the start", "explain RLY203"
    ago = max(0.0, (answer.time - one.last_packet).total_seconds())
    last = f"{ago:.1f} s" if ago < 10 else as_duration(ago)
    senders = "" if one.senders is None else f" from {plural(one.senders, 'sender')}"
    rates = f"{number(round(one.lines_per_second))} lines/s in {number(round(one.packets_per_second))} packets/s"
    return f"{rates}{senders}, last {last} ago, lost {number(one.lost)}", ""


def _lines(answer: StatusAnswer) -> tuple[str, str]:
    window = answer.window
    if window is None:
        return "no window has closed yet", ""
    terms = f"{number(window.lines)} = {number(window.accepted)} accepted + {number(window.rejected)} rejected"
    start = as_window(window.start.timestamp(), answer.window_seconds)
    return f"{start}  {terms}", "tap --rejected" if window.rejected else ""


def _rules(answer: StatusAnswer) -> tuple[str, str]:
    rules = answer.rules
    if not rules.count:
        return "none", "explain"
    names = rules.identities + rules.unmatched
    share = f" took {100 * rules.identities / names:.0f} % of {plural(names, 'name')}" if names else " took nothing yet"
    dropped = f"; dropped {plural(rules.samples_dropped, 'sample')}" if rules.samples_dropped else ""
    if rules.top_dropping:
        dropped = f'; "{rules.top_dropping}" dropped {plural(rules.top_dropped, "sample")}'
    return f"{rules.count}{share}{dropped}", "explain"


def _series(answer: StatusAnswer) -> tuple[str, str]:
    series = answer.series
    count = max(series.open, series.last)
    share = f"{number(count)} of {number(series.limit)} ({100 * count / max(1, series.limit):.0f} %)"
    fastest = f"; fastest {series.fastest}, +{number(series.fastest_growth)}/min" if series.fastest else ""
    return f"{share}{fastest}", "series"


def _cloud(answer: StatusAnswer) -> tuple[str, str]:
    window, cloud = answer.window, answer.cloud
    quota = f"of {number(cloud.requests_per_minute)}/min, 429s {number(cloud.throttled)}"
    if window is None:
        return f"nothing sent yet; 0 requests {quota}", ""
    points = f"{number(window.delivered)} of {plural(window.points, 'point')} delivered"
    start = as_window(window.start.timestamp(), answer.window_seconds)
    a_minute = round(window.requests * 60 / answer.window_seconds)
    return f"{start}  {points}; {plural(a_minute, 'request')} {quota}", ""


def _waiting(answer: StatusAnswer) -> tuple[str, str]:
    one = answer.waiting
    kept = "durable" if one.is_durable else "in memory alone"
    space = f"{as_size(one.bytes)} of {as_size(one.limit_bytes)}"
    letters = f"; dead letters {number(one.dead_letters)}"
    return f"{plural(one.points, 'point')}, {space}, {kept}{letters}", "dead list" if one.dead_letters else "spool stat"


def _books(answer: StatusAnswer) -> tuple[str, str]:
    off = answer.books.imbalance
    if off:
        return f"{number(off)} lines, samples or points are not accounted for", "bundle"
    return "lines, samples and points balance since the start", ""


def _config(answer: StatusAnswer) -> tuple[str, str]:
    config = answer.config
    since = f" since {config.since.astimezone():%H:%M}" if config.since else ""
    generation = f", generation {config.generation}{since}" if config.generation else ""
    changed = "" if config.is_file_in_force else "; the file on disk is not in force"
    return f"{config.file or 'no file'}{generation}{changed}", "config show"
