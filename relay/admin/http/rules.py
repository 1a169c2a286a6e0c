"""`GET /api/v1/rules`: how many identities each rule of the running relay matched, and the newest unmatched names.

Names are user data, so the route answers clients on this machine only (guard.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from relay.admin.http.guard import local_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.protocols import Relay
    from relay.config.schema import RuleConfig
    from relay.naming import Namer


def rule_routes(relay: Relay) -> list[web.RouteDef]:
    """Return `GET /api/v1/rules`."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response(table(relay.config.rule, relay.namer))

    return [web.get("/api/v1/rules", local_only(show))]


def table(rules: Sequence[RuleConfig], namer: Namer) -> dict[str, Any]:
    """Return the body of the answer: `rules` in their order, numbered from 1, and `unmatched`."""
    return {
        "rules": [
            {"number": number, "match": rule.match, "regex": rule.regex, "type": rule.type, "hits": hits}
            for number, (rule, hits) in enumerate(zip(rules, namer.hits, strict=True), 1)
        ],
        "unmatched": {"count": namer.unmatched.count, "names": list(namer.unmatched.names)},
    }
