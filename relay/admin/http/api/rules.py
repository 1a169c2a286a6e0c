"""`GET /api/v1/rules`: what each rule of the running relay does and took, and the newest unmatched names.

Names are user data, so the route answers clients on this machine only (guard.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.admin.answers.rules import RuleFigures, RuleHits, RulesAnswer, Unmatched
from relay.admin.http.endpoint import Endpoint, NoParameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from relay.admin.protocols import Relay
    from relay.config.schema import RuleConfig
    from relay.naming import Namer

_NOTHING: Final = RuleFigures(0, 0)


def rule_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return `GET /api/v1/rules`."""

    async def show(_: web.Request, __: NoParameters) -> RulesAnswer:
        return table(relay.config.rule, relay.namer, relay.cardinality.rules())

    return [
        Endpoint(
            path="/api/v1/rules",
            summary="The rules in force, what each does and took, and the newest names that none matched.",
            handle=show,
            parameters=NoParameters,
            answer=RulesAnswer,
        )
    ]


def table(rules: Sequence[RuleConfig], namer: Namer, figures: Mapping[int, RuleFigures]) -> RulesAnswer:
    """Return the answer: the rules in their order, numbered from 1, and the unmatched names."""
    numbered = enumerate(zip(rules, namer.hits, strict=True), 1)
    return RulesAnswer(
        rules=[_row(number, rule, hits, figures.get(number, _NOTHING)) for number, (rule, hits) in numbered],
        unmatched=Unmatched(count=namer.unmatched.count, names=list(namer.unmatched.names)),
    )


def _row(number: int, rule: RuleConfig, hits: int, figures: RuleFigures) -> RuleHits:
    return RuleHits(
        number=number,
        match=rule.match,
        regex=rule.regex,
        type=rule.type,
        hits=hits,
        does=does(rule),
        series=figures.series,
        samples=figures.samples,
    )


def does(rule: RuleConfig) -> str:
    """Return what a rule does, in words: `metric web.$2, tags service=$1, without request_id`."""
    if rule.action == "drop":
        return "drops the samples"
    dropped = "all other tags" if "*" in rule.drop_tags else " ".join(rule.drop_tags)
    parts = (
        ("metric", rule.metric),
        ("tags", " ".join(f"{key}={value}" for key, value in rule.tags.items())),
        ("keeps", " ".join(rule.keep_tags)),
        ("without", dropped),
        ("renames", " ".join(f"{old}->{new}" for old, new in rule.rename_tags.items())),
        ("namespace", rule.namespace),
    )
    return ", ".join(f"{word} {text}" for word, text in parts if text) or "changes nothing"
