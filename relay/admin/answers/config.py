"""The answers of `GET /api/v1/config`, what is in force and why, and of `POST /-/reload`, what changes and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from relay.config.render import DEFAULT, expand_values, in_force

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.credentials import Credentials
    from relay.config.schema import Config


class ConfigValue(msgspec.Struct, frozen=True, kw_only=True):
    """One key; secrets and passwords in URLs are masked."""

    key: str
    """`table.key`; a key of the second rule is `rule.2.key`."""
    value: Any
    """Durations are seconds, sizes are bytes."""
    text: str
    """The value as the file would have it."""
    origin: str
    """`file:line`, a variable, a flag, a profile, or `default`."""
    is_default: bool
    """Whether no source sets the key."""


class ConfigAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force."""

    generation: int
    """1 at the first start, and one more for each applied reload; 0 of a file that is not in force."""
    since: str
    """Time at which this generation was accepted, ISO 8601 in UTC; empty of a file that is not in force."""
    values: list[ConfigValue]
    """Every key, defaults too, in the order of `config example`."""


class ReloadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted reload, or a replacement of the worker that has begun."""

    generation: int
    """Of the configuration that was accepted; with a new worker it is that worker's."""
    at_once: list[str]
    """Keys that have changed: `log.level`."""
    at_next_window: list[str]
    """Keys that change when the next window begins: `tags.env`, `rule 2`."""
    begins: str
    """Start of the next window, ISO 8601 in UTC."""
    with_new_worker: list[str]
    """Keys that need other sockets; then every change takes effect with the worker that comes next."""
    is_replacing: bool
    """Whether the worker is being replaced. `GET /api/v1/` then has the new worker, or the reason in `refused`."""
    refusals: int
    """`refusals` of `GET /api/v1/` before this request."""


def values_in_force(
    config: Config, origins: Mapping[str, str], *, credentials: Credentials | None, state: str
) -> list[ConfigValue]:
    """Return every value with its origin; see `expand_values` for the arguments.

    A value that the relay has completed, such as the region, does not count as a default.
    """
    given = {row.key: row.value for row in in_force(config, origins)}
    return [
        ConfigValue(
            key=row.key,
            value=row.value,
            text=row.text,
            origin=row.origin,
            is_default=row.origin == DEFAULT and row.value == given[row.key],
        )
        for row in in_force(*expand_values(config, origins, credentials=credentials, state=state))
    ]
