"""Settings from the environment: `STATSD_RELAY_<TABLE>_<KEY>`; lists by commas, tags as `k=v,k=v`, rules as JSON.

`STATSD_RELAY_DEFAULT_<TABLE>_<KEY>` is for images and service units: the file overrides it, while the other variables
override the file. For a Service called statsd-relay, Kubernetes injects variables with the same prefix; these are
recognised by name and value, and ignored. Also here: references `${NAME}` inside values. This module does not know
whether a value is valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.config.schema import Config, fields_of
from relay.config.table_lists import AS_JSON, LISTED, from_json
from relay.config.toml.places import Setting, TomlPlace, closest
from relay.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# --- references ------------------------------------------------------------------------------------------------------

# References inside values: `${NAME}`, `${NAME:-default}` and `${NAME:?message}`. `${1}` is a rule's capture and stays.

_REFERENCE: Final = re.compile(r"\$\{([^\W\d]\w*)(?::(-|\?)([^}]*))?\}")


def expand(value: Any, environ: Mapping[str, str]) -> tuple[Any, list[str]]:  # noqa: ANN401 - any TOML value
    """Return the value with its references replaced, and a message for each reference that cannot be replaced."""
    missing: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name, operator, word = match[1], match[2], match[3]
        found = environ.get(name)
        if found or (found == "" and not operator):
            return found
        if operator == "-":
            return word
        missing.append((operator and word) or f"variable {name} is not set")
        return ""

    def inside(value: Any) -> Any:  # noqa: ANN401 - see above
        match value:
            case str():
                return _REFERENCE.sub(replaced, value)
            case list():
                return [inside(item) for item in value]
            case dict():
                return {key: inside(item) for key, item in value.items()}
        return value

    return inside(value), missing


PREFIX: Final = "STATSD_RELAY_"
DEFAULTS: Final = f"{PREFIX}DEFAULT_"
_TAG: Final = f"{PREFIX}TAGS_"
_IP: Final = r"[0-9a-fA-F.:]+"
_URL: Final = rf"(tcp|udp|sctp)://(\[{_IP}\]|{_IP}):\d+"
_INJECTED: Final = re.compile(
    rf"(.*_)?(SERVICE_HOST={_IP}|SERVICE_PORT(_\w+)?=\d+|PORT={_URL}"
    rf"|PORT_\d+_(TCP|UDP|SCTP)(={_URL}|_PROTO=(tcp|udp|sctp)|_PORT=\d+|_ADDR={_IP}))"
)
"""Matches NAME=VALUE, the name without the prefix: by its name alone a variable may be a misspelt setting."""


def variables() -> dict[str, str]:
    """Return every variable with the key that it sets."""
    found = {f"{PREFIX}{table}".upper(): table for table in ("tags", *LISTED)}
    for table in fields_of(Config):
        if table.name != "tags" and table.name not in LISTED:
            for info in fields_of(table.type):
                found[f"{PREFIX}{table.name}_{info.name}".upper()] = f"{table.name}.{info.name}"
    return found


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """Settings from the environment: those that the file overrides, those that override it, and unknown variables."""

    defaults: list[Setting]
    settings: list[Setting]
    unknown: list[Problem]


def read_environment(environ: Mapping[str, str]) -> EnvironmentSettings:
    """Return the settings, and a warning for each unknown variable with the prefix."""
    known = variables()
    found = EnvironmentSettings([], [], [])
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        is_default = name.startswith(DEFAULTS)
        plain = PREFIX + name.removeprefix(DEFAULTS) if is_default else name
        if plain not in known and _is_injected(name.removeprefix(PREFIX), environ[name]):
            continue
        settings = _read(name, plain, known.get(plain), environ[name])
        if settings is None:
            found.unknown.append(_unknown(name, plain, known))
        else:
            (found.defaults if is_default else found.settings).extend(settings)
    return found


def _read(name: str, plain: str, key: str | None, value: str) -> list[Setting] | None:
    """Return the settings of one variable; None if it is unknown. `plain` is the name without DEFAULT_."""
    place = TomlPlace(source=name)
    if key == "tags":
        return list(_tags(name, value))
    if plain.startswith(_TAG):
        return [Setting(f"tags.{plain.removeprefix(_TAG).lower()}", value, place, from_text=True)]
    if key in AS_JSON:
        return [Setting(key, from_json(value), place)]
    return [Setting(key, value, place, from_text=True)] if key else None


def _unknown(name: str, plain: str, known: Mapping[str, str]) -> Problem:
    return Problem(
        code="RLY102",
        severity="warning",
        message=f"unknown variable {name}",
        fix=closest(plain, known),
        source="environment",
    )


def _tags(name: str, value: str) -> Iterator[Setting]:
    for entry in value.split(","):
        key, _, tag = entry.strip().partition("=")
        if key:
            yield Setting(f"tags.{key}", tag, TomlPlace(source=name), from_text=True)


def _is_injected(name: str, value: str) -> bool:
    return _INJECTED.fullmatch(f"{name}={value}") is not None
