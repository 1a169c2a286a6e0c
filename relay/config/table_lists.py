"""Lists of tables, `[[rule]]` and `[[tee]]`: a list is one setting until it is spread into one setting for each key.

A source of higher precedence replaces the whole list, since the order of rules matters. Elements are numbered from 1:
`rule.2` is the second `[[rule]]`, and `rule.2.match` is a key of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import msgspec

from relay.config.schema import Config
from relay.config.toml.places import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTED: Final[dict[str, Any]] = {
    info.name: get_args(info.type)[0] for info in msgspec.structs.fields(Config) if get_origin(info.type) is list
}
"""Name of the list -> type of its elements."""
AS_JSON: Final = frozenset({*LISTED, "window.histogram"})
"""Keys that a variable sets as JSON."""
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "rule": {"match": "web.*.hits", "metric": "web.hits", "tags": {"service": "$1"}},
    "tee": {"to": "127.0.0.1:9125"},
}
"""An example element of each list, for the reference and for the fix of an error."""


def from_json(text: str) -> object:
    """Parse a variable as JSON; an empty one is an empty list, and one that is not JSON stays a text."""
    try:
        return json.loads(text or "[]")
    except ValueError:
        return text


def list_fix(setting: Setting) -> str:
    """Return the fix for a setting that is not a list of tables; for a variable with the position of a JSON error."""
    table = setting.key.partition(".")[0]
    if setting.place.line:
        return f"write [[{table}]] over each of them"
    fix = f"it is a JSON list of objects, such as {json.dumps([EXAMPLES[table]])}"
    try:
        json.loads(setting.value if isinstance(setting.value, str) else "[]")
    except json.JSONDecodeError as error:
        return f"{fix}; at character {error.pos + 1}: {error.msg}"
    return fix


def is_list_of_tables(value: object) -> bool:
    """Say whether a value is a list of tables."""
    return isinstance(value, list) and all(isinstance(element, dict) for element in value)


def spread(setting: Setting) -> Iterator[Setting]:
    """Yield a setting for each element, with an empty table as its value, and one for each key of the element.

    A key without a place of its own has the place of its element.
    """
    for number, element in enumerate(setting.value, 1):
        key = f"{setting.key}.{number}"
        place = setting.inner.get(key, setting.place)
        yield Setting(key, {}, place)
        for name, value in element.items():
            yield Setting(f"{key}.{name}", value, setting.inner.get(f"{key}.{name}", place))


def schema_key(key: str) -> str:
    """Return a key without the number of its element: `rule.match` of `rule.2.match`, `rule` of `rule.2`."""
    table, _, rest = key.partition(".")
    if table not in LISTED:
        return key
    name = rest.partition(".")[2]
    return f"{table}.{name}" if name else table


def element_of(key: str) -> str:
    """Return the element that a key belongs to: `rule.2` of `rule.2.match`."""
    return ".".join(key.split(".", 2)[:2])


def build_elements(values: Mapping[str, Any], table: str) -> list[Any]:
    """Return the elements of a list, built from converted values."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key.startswith(f"{table}."):
            element = found.setdefault(element_of(key), {})
            if key.count(".") > 1:
                element[key.split(".", 2)[2]] = value
    return [LISTED[table](**element) for element in found.values()]


def changed_keys(config: Config, table: str) -> Iterator[tuple[str, Any]]:
    """Yield each key of each element that differs from its default, with its value."""
    for number, element in enumerate(getattr(config, table), 1):
        default = type(element)()
        for name in element.__struct_fields__:
            value = getattr(element, name)
            if value != getattr(default, name):
                yield f"{table}.{number}.{name}", value
