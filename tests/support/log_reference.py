"""The events of the log as deploy/REFERENCE.md has them, and a check of what a relay has logged against them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from relay.supervisor.log import LEVELS

REFERENCE = Path(__file__).parents[2] / "deploy" / "REFERENCE.md"
HEAD = ("timestamp", "level", "code", "event")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TYPES = {"time, ISO 8601 in UTC": str, "list": list, "seconds": (int, float), "hours": (int, float)}
_NUMBERS = ("milliseconds", "bytes", "count", "number")


class Event(NamedTuple):
    """A row of the table of events."""

    level: str
    codes: frozenset[str]
    fields: frozenset[str]
    is_finding: bool


@cache
def events() -> dict[str, Event]:
    """Return the documented events by name."""
    found: dict[str, Event] = {}
    for name, level, code, fields in _rows("event", columns=4):
        known = found["finding began"].fields if "as `finding began`" in fields else frozenset(fields.split())
        codes = frozenset(re.findall(r"RLY\d+", code))
        found[name] = Event(level, codes, known | {"suppressed"}, "finding" in code)
    return found


@cache
def types() -> dict[str, type | tuple[type, ...]]:
    """Return the types of the documented fields; every other field is text."""
    found: dict[str, type | tuple[type, ...]] = {}
    for kind, fields in _rows("type", columns=2):
        for field in [] if kind == "text of one line" else fields.split():
            found[field] = int if kind in _NUMBERS else _TYPES.get(kind, str)
    return found


def _rows(first: str, *, columns: int) -> list[list[str]]:
    section = REFERENCE.read_text().partition("\n## Log\n")[2].partition("\n## ")[0]
    table = section.partition(f"\n| {first} |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" |")] for line in table.splitlines()[2:]]
    return [[*row, *[""] * columns][:columns] for row in rows]


def problems(event: dict) -> list[str]:
    """Return what of an event, as logged in JSON, is not as the reference says."""
    name, fields = event["event"], {key: value for key, value in event.items() if key not in HEAD}
    row = events().get(name)
    if row is None:
        return [f"{name!r} is not in the reference"]
    order = [key for key in event if key in HEAD]
    wrong = [] if order == [key for key in HEAD if key in event] and list(event)[: len(order)] == order else ["order"]
    if not row.is_finding and (event.get("code") or "") not in (row.codes or {""}):
        wrong.append(f"code {event.get('code')}")
    if event["level"] not in LEVELS:
        wrong.append(f"level {event['level']}")
    for field, value in fields.items():
        if field not in row.fields:
            wrong.append(f"field {field}")
        elif not _is_of(field, value):
            wrong.append(f"{field} = {value!r}")
    return [f"{name!r}: {one}" for one in wrong]


def _is_of(field: str, value: object) -> bool:
    wanted = types().get(field, str)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return False
    return bool(_TIME.fullmatch(str(value))) if field in ("window", "open_window", "since") else True
