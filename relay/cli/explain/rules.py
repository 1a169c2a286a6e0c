"""Fetches the rules of a running relay with their hits from its admin port, and renders them as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from relay.admin.answers.error import error_sentence
from relay.admin.answers.rules import RulesAnswer
from relay.cli.admin_client import ask, find_admin
from relay.cli.explain.text import pattern
from relay.config.addresses import join_address
from relay.errors import unreachable
from relay.wording import escape, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.config.schema import AdminConfig

_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest answer in bytes: 1,000 rules and 100 names are about 200 KiB."""
_NAMES_SHOWN: Final = 20
_FIX: Final = "start the relay, or name its configuration with -c"


def fetch_rules(admin: AdminConfig) -> RulesAnswer:
    """Return the rules of the relay with their hits.

    Raises:
        RelayError: no relay answers, or the answer is not that of a relay.
    """
    address = find_admin(admin, fix="set [admin] listen, and restart the relay")
    status, body = ask(address, "/api/v1/rules", most=_BYTES_MAX, fix=_FIX)
    if status != 200:
        said = escape(error_sentence(body).encode())[:200]
        raise unreachable(f"{join_address(*address)} answers {status}: {said}", _FIX)
    try:
        report = msgspec.json.decode(body, type=RulesAnswer)
    except msgspec.MsgspecError as error:
        raise unreachable(f"the process on {join_address(*address)} is not a relay: {error}", _FIX) from error
    return report


def rule_lines(report: RulesAnswer) -> Iterator[str]:
    """Yield the table: the rules, then the newest names that no rule matched."""
    if not report.rules:
        yield "there are no rules"
        return
    yield "rule    hits  matches"
    for rule in report.rules:
        matches = pattern(match=rule.match, regex=rule.regex, type_=rule.type)
        never = "" if rule.hits else "  never matched"
        yield f"{rule.number:>4}{rule.hits:>8}  {matches}{never}"
    names = report.unmatched.names
    yield f"no rule matched {plural(report.unmatched.count, 'time')}" + (", the newest names first:" if names else "")
    yield from (f"  {escape(name.encode('utf-8', 'replace'))}" for name in names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        yield f"  and {len(names) - _NAMES_SHOWN} more with --json"
