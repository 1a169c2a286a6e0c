"""The answer of `GET /api/v1/rules`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class RuleFigures(NamedTuple):
    """What a rule took."""

    series: int
    """In the last closed window."""
    samples: int
    """Since the rules took effect: of closed windows, or dropped."""


class RuleHits(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and how many identities it matched."""

    number: int
    """From 1, in the order of the configuration."""
    match: str
    regex: str
    type: str
    hits: int
    does: str = ""
    """What the rule does, in words."""
    series: int = 0
    """Series of the last closed window that it made. A metric that several rules make counts for the newest."""
    samples: int = 0
    """Samples of these metrics in the windows that closed since the rules took effect; or samples that it dropped."""


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Identities that no rule matched."""

    count: int
    names: list[str]
    """The newest names, newest first; bounded by the relay."""


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, and the newest names that none of them matched."""

    rules: list[RuleHits]
    unmatched: Unmatched
