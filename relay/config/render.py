"""Prints the configuration, generated from the schema: the example file, the variables, and the values in force.

Invariant: secrets and passwords in URLs are masked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from relay.config.credentials import short_id
from relay.config.environment import PREFIX, variables
from relay.config.schema import Config, fields_of
from relay.config.table_lists import AS_JSON, EXAMPLES, LISTED, changed_keys
from relay.config.types import choices, mask_urls, to_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.config.credentials import Credentials


class ConfigKey(NamedTuple):
    """One key of the reference."""

    table: str
    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    """Allowed values; empty: any value of the type."""


def keys() -> Iterator[ConfigKey]:
    """Yield every key in the order of the schema; `tags` stands for its whole table."""
    for table in fields_of(Config):
        if table.name == "tags":
            yield ConfigKey("tags", "", {}, _help(Config, "tags"))
            continue
        owner = LISTED.get(table.name, table.type)
        for info in fields_of(owner):
            type_ = get_args(info.type)[0]
            yield ConfigKey(table.name, info.name, _default(info), _help(owner, info.name), choices(type_))


def example() -> str:
    """Return a file with every key commented out: with its default, or with an example for an element of a list."""
    lines = ["# statsd-relay: every key is optional. Shown are the defaults, and examples of [[rule]] and [[tee]]."]
    table = ""
    for key in keys():
        if key.table != table:
            table = key.table
            about = "" if table == "tags" else f"   # {describe_table(table)}"
            lines += ["", f"# [[{table}]]{about}" if table in LISTED else f"[{table}]{about}"]
        if table == "tags":
            lines += [f"# {key.help}", '# env = "production"']
        elif table in LISTED:
            lines += [
                f"#   # {_help_and_choices(key)}",
                f"#   {key.name} = {to_toml(EXAMPLES[table].get(key.name, key.default))}",
            ]
        else:
            lines += [f"# {_help_and_choices(key)}", f"# {key.name} = {to_toml(key.default)}"]
    return "\n".join(lines)


def reference() -> list[dict[str, Any]]:
    """Return every key with its variable, default, help and choices; a list of tables is one variable."""
    names = {key: variable for variable, key in variables().items()}
    return [
        {
            "key": f"{key.table}.{key.name}".rstrip("."),
            "variable": names.get(f"{key.table}.{key.name}", names.get(key.table, "")),
            "default": to_toml(key.default),
            "help": key.help,
            "choices": list(key.choices),
        }
        for key in keys()
    ]


def environment() -> str:
    """Return every variable with its default and help."""
    by_key = {key: variable for variable, key in variables().items()}
    lines: list[str] = [
        f"{PREFIX}{table.upper()}=[]\n    JSON: a list of [[{table}]]{_such_as(table)}" for table in LISTED
    ]
    for key in keys():
        if key.table in LISTED:
            continue
        if key.table == "tags":
            lines.append(f"{PREFIX}TAGS=k=v,k=v\n    {key.help}")
            lines.append(f"{PREFIX}TAGS_<KEY>=\n    One tag; the key is <KEY> in lower case")
        else:
            name = f"{key.table}.{key.name}"
            default = "[]" if name in AS_JSON else _plain(key.default)
            lines.append(f"{by_key[name]}={default}\n    {_help_and_choices(key)}")
    return "\n".join(lines)


def _such_as(table: str) -> str:
    return f", such as {json.dumps([EXAMPLES[table]])}"


def _help_and_choices(key: ConfigKey) -> str:
    return f"{key.help} ({', '.join(map(to_toml, key.choices))})" if key.choices else key.help


class ValueInForce(NamedTuple):
    """A key with its value and the origin of the value; secrets are masked."""

    key: str
    value: Any
    """As JSON has it: a duration in seconds, a size in bytes."""
    text: str
    """As TOML."""
    origin: str
    """`file:line`, a variable, a flag, a profile, or DEFAULT."""


DEFAULT: Final = "default"


def in_force(config: Config, origins: Mapping[str, str]) -> list[ValueInForce]:
    """Return every key with its value and its origin.

    Args:
        config: the configuration.
        origins: `table.key` -> where the value comes from; a key that is absent has its default.
    """
    return [
        ValueInForce(key, _plain_json(value), mask_urls(to_toml(value)), origins.get(key, DEFAULT))
        for key, value in _values(config)
    ]


def expand_values(
    config: Config, origins: Mapping[str, str], *, credentials: Credentials | None, state: str
) -> tuple[Config, Mapping[str, str]]:
    """Return a configuration with the region, URL, key id and state directory that are used, and their origins.

    Args:
        config: the configuration in force.
        origins: of its values.
        credentials: those found; None: requests are not signed, or there are none.
        state: the state directory; "" for memory only.
    """
    cloud, found = config.cloud, dict(origins)
    if credentials:
        endpoint = cloud.endpoint.replace("{region}", credentials.region)
        key = short_id(credentials.access_key)
        if not cloud.region:
            found["cloud.region"] = credentials.region_origin
        if not cloud.access_key:
            place = credentials.key_variable or credentials.origin
            found["cloud.access_key"] = origins.get("cloud.access_key_file", place)
        cloud = msgspec.structs.replace(cloud, region=credentials.region, endpoint=endpoint, access_key=key)
    else:
        cloud = msgspec.structs.replace(cloud, access_key=short_id(cloud.access_key))
    spool = msgspec.structs.replace(config.spool, path=state or "none")
    return msgspec.structs.replace(config, cloud=cloud, spool=spool), found


def _values(config: Config) -> Iterator[tuple[str, Any]]:
    for table in fields_of(Config):
        section = getattr(config, table.name)
        if table.name == "tags":
            yield from ((f"tags.{name}", value) for name, value in section.items())
        elif table.name not in LISTED:
            yield from ((f"{table.name}.{info.name}", getattr(section, info.name)) for info in fields_of(table.type))
    for listed in LISTED:
        yield from list(changed_keys(config, listed)) or [(listed, [])]


def _plain_json(value: Any) -> Any:  # noqa: ANN401 - a value of any key
    """Return a value of the types of JSON; secrets and passwords in URLs are masked."""
    match value:
        case bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case list():
            return [_plain_json(item) for item in value]
        case dict():
            return {key: _plain_json(item) for key, item in value.items()}
        case msgspec.Struct():
            return _plain_json(msgspec.structs.asdict(value))
        case _:
            return mask_urls(str(value))


def _plain(value: object) -> str:
    """Return a value as a variable holds it."""
    return ",".join(_plain(item) for item in value) if isinstance(value, list) else to_toml(value).strip('"')


def _default(info: msgspec.structs.FieldInfo) -> Any:  # noqa: ANN401 - a default has its key's type
    return info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()


def _help(owner: type, name: str) -> str:
    meta = get_type_hints(owner, include_extras=True)[name].__metadata__[0]
    return str(meta.description)


def describe_table(table: str) -> str:
    """Return what a table is about, in words."""
    types = {info.name: info.type for info in fields_of(Config)} | LISTED
    return str(types[table].__doc__).rstrip(".")
