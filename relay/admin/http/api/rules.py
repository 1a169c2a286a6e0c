"""`GET /api/v1/rules`: how many identities each rule of the running relay matched, and the newest unmatched names.

Names are user data, so the route answers clients on this machine only (guard.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.admin.answers.rules import RuleHits, RulesAnswer, Unmatched
from relay.admin.http.endpoint import Endpoint, NoParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from relay.admin.protocols import Relay
    from relay.config.schema import RuleConfig
    from relay.naming import Namer


def rule_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/rules`."""

    async def show(_: web.Request, __: NoParameters) -> RulesAnswer:
        return table(relay.config.rule, relay.namer)

    return [
        Endpoint(
            path="/api/v1/rules",
            summary="The rules in force, how often each matched, and the newest names that none matched.",
            handle=show,
            parameters=NoParameters,
            answer=RulesAnswer,
        )
    ]


def table(rules: Sequence[RuleConfig], namer: Namer) -> RulesAnswer:
    """Return the answer: the rules in their order, numbered from 1, and the unmatched names."""
    numbered = enumerate(zip(rules, namer.hits, strict=True), 1)
    return RulesAnswer(
        rules=[
            RuleHits(number=number, match=rule.match, regex=rule.regex, type=rule.type, hits=hits)
            for number, (rule, hits) in numbered
        ],
        unmatched=Unmatched(count=namer.unmatched.count, names=list(namer.unmatched.names)),
    )
