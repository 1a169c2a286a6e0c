"""What a reload may change, and when: decided by the names of the changed keys.

at once          the log, the credentials
next window      names, rules, tags, limits, percentiles, idle gauges, allowed senders, tees, the cloud: when the next
                 window begins
by replacement   the sockets: the supervisor opens them, and the open window is handed over to another worker
never            all other keys; if one has changed, the whole reload is refused, and the key is named

Not known here: how a change is made (reload.py).
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
_AT_NEXT_WINDOW: Final = frozenset({"listen.allow", "listen.dialects", "listen.gauge_deltas", "listen.names"})
_AT_NEXT_WINDOW_TABLES: Final = frozenset({"names", "tags", "limits", "cloud", "window", "rule", "tee"})
_NAMING: Final = frozenset({"names", "tags", "rule", "listen.dialects", "listen.names"})
_REPLACING: Final = frozenset({
    "listen.udp", "listen.tcp", "listen.unix", "listen.unix_mode",
    "listen.stream_connections", "listen.stream_idle", "listen.line_limit", "admin.listen", "admin.hosts",
    "admin.token_file", "admin.history",
})  # fmt: skip
_NEVER: Final = frozenset({"window.seconds", "window.checkpoint"})


class Changes(NamedTuple):
    """Changed keys (`table.key`), by when they may change."""

    at_once: Sequence[str]
    at_next_window: Sequence[str]
    replacing: Sequence[str]
    refused: Sequence[str]

    def __bool__(self) -> bool:
        """Return whether any key has changed."""
        return any(self)


def compare(old: Config, new: Config) -> Changes:
    """Return the changed keys."""
    found: dict[str, list[str]] = {"once": [], "next window": [], "replace": [], "never": []}
    for key in _differing(old, new):
        found[_when(key)].append(key)
    return Changes(*found.values())


def at_once(old: Config, new: Config) -> Config:
    """Return the configuration in force until the next window: the old one, with the keys that change at once."""
    for key in compare(old, new).at_once:
        table, _, name = key.partition(".")
        section = msgspec.structs.replace(getattr(old, table), **{name: getattr(getattr(new, table), name)})
        old = msgspec.structs.replace(old, **{table: section})
    return old


def sends_differently(old: Config, new: Config) -> bool:
    """Return whether [cloud] differs in keys that do not change at once."""
    return at_once(old, new).cloud != new.cloud


def renames(old: Config, new: Config) -> bool:
    """Return whether the change may rename series."""
    return any(key in _NAMING or key.partition(".")[0] in _NAMING for key in _differing(old, new))


def _when(key: str) -> str:
    if key in _NEVER:
        return "never"
    if key in _AT_ONCE:
        return "once"
    if key in _REPLACING:
        return "replace"
    return "next window" if key in _AT_NEXT_WINDOW or key.partition(".")[0] in _AT_NEXT_WINDOW_TABLES else "never"


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
