"""The answer of `GET /api/v1/rules`."""

from __future__ import annotations

import msgspec


class RuleHits(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and how many identities it matched."""

    number: int
    """From 1, in the order of the configuration."""
    match: str
    regex: str
    type: str
    hits: int


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Identities that no rule matched."""

    count: int
    names: list[str]
    """The newest names, newest first; bounded by the relay."""


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, and the newest names that none of them matched."""

    rules: list[RuleHits]
    unmatched: Unmatched
