"""What a reload may change, and when: decided by the names of the keys that differ.

at once          the log, and the credentials
at the edge      names, rules, tags, limits, percentiles, idle gauges, who may send, tees, the cloud: when the next
                 window begins
by replacement   the sockets: the supervisor opens them and another worker takes the open window up
never            everything else; one such key refuses the whole reload, by name
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.config.schema import Config

_CREDENTIALS: Final = (
    "access_key", "secret_key", "session_token", "access_key_file", "secret_key_file", "session_token_file",
    "token_encoding", "profile",
)  # fmt: skip
_AT_ONCE: Final = frozenset({"log.format", "log.level", "config.watch", *(f"cloud.{name}" for name in _CREDENTIALS)})
_AT_EDGE: Final = frozenset({"listen.allow", "listen.dialects", "listen.gauge_deltas", "listen.names"})
_AT_EDGE_TABLES: Final = frozenset({"names", "tags", "limits", "cloud", "window", "rule", "tee"})
_NAMING: Final = frozenset({"names", "tags", "rule", "listen.dialects", "listen.names"})
_REPLACING: Final = frozenset({
    "listen.udp", "listen.tcp", "listen.unix", "listen.unix_mode",
    "listen.stream_connections", "listen.stream_idle", "listen.line_limit", "admin.listen", "admin.hosts",
})  # fmt: skip
_NEVER: Final = frozenset({"window.seconds", "window.checkpoint"})


class Changes(NamedTuple):
    """Keys that differ, `table.key`, by when they may change."""

    at_once: Sequence[str]
    at_edge: Sequence[str]
    replacing: Sequence[str]
    refused: Sequence[str]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(self)


def compare(old: Config, new: Config) -> Changes:
    """Sort the keys that differ."""
    found: dict[str, list[str]] = {"once": [], "edge": [], "replace": [], "never": []}
    for key in _differing(old, new):
        found[_when(key)].append(key)
    return Changes(*found.values())


def at_once(old: Config, new: Config) -> Config:
    """Return what is in force until the next window begins: the old one, with what may change at once."""
    for key in compare(old, new).at_once:
        table, _, name = key.partition(".")
        section = msgspec.structs.replace(getattr(old, table), **{name: getattr(getattr(new, table), name)})
        old = msgspec.structs.replace(old, **{table: section})
    return old


def sends_differently(old: Config, new: Config) -> bool:
    """Say whether requests go elsewhere, or otherwise, beyond what may change at once."""
    return at_once(old, new).cloud != new.cloud


def renames(old: Config, new: Config) -> bool:
    """Say whether series may be called something else from now on."""
    return any(key in _NAMING or key.partition(".")[0] in _NAMING for key in _differing(old, new))


def _when(key: str) -> str:
    if key in _NEVER:
        return "never"
    if key in _AT_ONCE:
        return "once"
    if key in _REPLACING:
        return "replace"
    return "edge" if key in _AT_EDGE or key.partition(".")[0] in _AT_EDGE_TABLES else "never"


def _differing(old: Config, new: Config) -> Iterator[str]:
    for table in msgspec.structs.fields(old):
        before, after = getattr(old, table.name), getattr(new, table.name)
        if not isinstance(before, msgspec.Struct):
            if before != after:
                yield table.name
            continue
        for info in msgspec.structs.fields(before):
            if getattr(before, info.name) != getattr(after, info.name):
                yield f"{table.name}.{info.name}"
