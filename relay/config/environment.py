"""Settings from the environment: `STATSD_RELAY_<TABLE>_<KEY>`; lists by commas, tags as `k=v,k=v`, rules as JSON.

Kubernetes injects variables for a Service that is called statsd-relay; these are nobody's settings and are ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from relay.config.listed import AS_JSON, LISTED, from_json
from relay.config.schema import Config
from relay.config.source import Place, Setting, closest
from relay.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "STATSD_RELAY_"
_IP: Final = r"[0-9a-fA-F.:]+"
_URL: Final = rf"(tcp|udp|sctp)://(\[{_IP}\]|{_IP}):\d+"
_INJECTED: Final = re.compile(
    rf"(.*_)?(SERVICE_HOST={_IP}|SERVICE_PORT(_\w+)?=\d+|PORT={_URL}"
    rf"|PORT_\d+_(TCP|UDP|SCTP)(={_URL}|_PROTO=(tcp|udp|sctp)|_PORT=\d+|_ADDR={_IP}))"
)
"""Name without the prefix, and value: a name alone may be a setting that is misspelt."""


def variables() -> dict[str, str]:
    """Return every variable and the key that it sets."""
    found = {f"{PREFIX}{table}".upper(): table for table in ("tags", *LISTED)}
    for table in msgspec.structs.fields(Config):
        if table.name != "tags" and table.name not in LISTED:
            for info in msgspec.structs.fields(table.type):
                found[f"{PREFIX}{table.name}_{info.name}".upper()] = f"{table.name}.{info.name}"
    return found


def read_environment(environ: Mapping[str, str]) -> tuple[list[Setting], list[Problem]]:
    """Return the settings, and a warning for each variable that nobody knows."""
    known = variables()
    settings: list[Setting] = []
    warnings: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        value = environ[name]
        if name == f"{PREFIX}TAGS":
            settings.extend(_tags(name, value))
        elif known.get(name) in AS_JSON:
            settings.append(Setting(known[name], from_json(value), Place(source=name)))
        elif name in known:
            settings.append(Setting(known[name], value, Place(source=name), from_text=True))
        elif not _is_injected(name.removeprefix(PREFIX), value):
            warnings.append(
                Problem(
                    code="RLY102",
                    severity="warning",
                    message=f"unknown variable {name}",
                    fix=closest(name, known),
                    source="environment",
                )
            )
    return settings, warnings


def _tags(name: str, value: str) -> Iterator[Setting]:
    for entry in value.split(","):
        key, _, tag = entry.strip().partition("=")
        if key:
            yield Setting(f"tags.{key}", tag, Place(source=name), from_text=True)


def _is_injected(name: str, value: str) -> bool:
    return _INJECTED.fullmatch(f"{name}={value}") is not None
