"""The configuration file as a JSON Schema (2020-12), for editors and for checks without this program.

It is made of the types, help and defaults of schema.py. It accepts every file that loads; rules beyond types, such as
ranges, are left to `check`. A text with a reference `${NAME}` is accepted wherever a text is.
"""

from __future__ import annotations

import tomllib
from typing import Any, Final, get_args, get_origin

import msgspec

from relay.config.render import ConfigKey, describe_table, keys
from relay.config.schema import Config, fields_of
from relay.config.table_lists import EXAMPLES, LISTED
from relay.config.types import Seconds, Secret, Size, to_toml

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = r"\$\{"
_OWN: Final[dict[type, dict[str, Any]]] = {
    Seconds: {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?\s*$|{_REFERENCE}"},
        ],
        "examples": ["500ms", "10s", "5m", "1h", "7d"],
    },
    Size: {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*(B|[KMG]iB|kB|[KMG]B)?\s*$|{_REFERENCE}"},
        ],
        "examples": ["64KiB", "8MiB", "1GiB"],
    },
    Secret: {"type": "string", "writeOnly": True},
}


def json_schema() -> dict[str, Any]:
    """Return the schema of a configuration file."""
    tables: dict[str, dict[str, Any]] = {}
    for key in keys():
        tables.setdefault(key.table, _table(key.table))
        if key.name:
            tables[key.table]["properties"][key.name] = _key(key)
    for table in LISTED:
        tables[table] = {"type": "array", "items": tables[table], "examples": [[EXAMPLES[table]]]}
    tags = next(key for key in keys() if key.table == "tags")
    return {
        "$schema": _DIALECT,
        "title": "statsd-relay",
        "description": "The configuration of statsd-relay, a StatsD daemon that delivers to JD Cloud.",
        "type": "object",
        "properties": tables | {"tags": _tags(tags.help)},
        "additionalProperties": False,
    }


def _table(name: str) -> dict[str, Any]:
    return {"type": "object", "description": describe_table(name), "properties": {}, "additionalProperties": False}


def _tags(help_: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": help_,
        "propertyNames": {"pattern": "^[0-9A-Za-z._]+$"},
        "additionalProperties": {"type": "string"},
    }


def _key(key: ConfigKey) -> dict[str, Any]:
    owner = LISTED.get(key.table) or next(info.type for info in fields_of(Config) if info.name == key.table)
    type_ = next(get_args(info.type)[0] for info in fields_of(owner) if info.name == key.name)
    default = tomllib.loads(f"default = {to_toml(key.default)}")
    return {**of_type(type_), "description": key.help, **default}


def of_type(type_: Any) -> dict[str, Any]:  # noqa: ANN401 - any type of the schema
    """Return the schema of a value; allowed words may be a reference instead."""
    if type_ in _OWN:
        return _OWN[type_]
    if get_origin(type_) is list:
        return {"type": "array", "items": of_type(get_args(type_)[0])}
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _struct(type_)
    found = msgspec.json.schema(type_)
    return {"anyOf": [found, {"type": "string", "pattern": _REFERENCE}]} if "enum" in str(found) else found


def _struct(type_: type[msgspec.Struct]) -> dict[str, Any]:
    infos = msgspec.structs.fields(type_)
    return {
        "type": "object",
        "properties": {info.name: of_type(info.type) for info in infos},
        "required": [info.name for info in infos if info.required],
        "additionalProperties": False,
    }
