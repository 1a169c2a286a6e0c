"""`GET /api/v1/rules`: how many identities each rule of the running relay matched, and the newest unmatched names.

Names are user data, so the route answers clients on this machine only (guard.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from relay.admin.http.guard import local_only

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Rule(Protocol):
    """One rule of the configuration; either its match or its regex is empty."""

    @property
    def match(self) -> str:
        """The glob."""
        ...

    @property
    def regex(self) -> str:
        """The regex."""
        ...

    @property
    def type(self) -> str:
        """The class to which the rule applies; empty: every class."""
        ...


class Unmatched(Protocol):
    """Identities that no rule matched."""

    @property
    def count(self) -> int:
        """Number of unmatched identities."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The newest distinct names, newest first."""
        ...


class Namer(Protocol):
    """Applies the rules, and counts."""

    @property
    def hits(self) -> Sequence[int]:
        """Identities that each rule matched since the rules came into force."""
        ...

    @property
    def unmatched(self) -> Unmatched:
        """Identities that no rule matched."""
        ...


def rule_routes(in_force: Callable[[], tuple[Sequence[Rule], Namer]]) -> list[web.RouteDef]:
    """Return `GET /api/v1/rules`.

    Args:
        in_force: returns the rules and the namer that applies them; called at each request, a reload replaces both.
    """

    async def show(_: web.Request) -> web.Response:
        return web.json_response(table(*in_force()))

    return [web.get("/api/v1/rules", local_only(show))]


def table(rules: Sequence[Rule], namer: Namer) -> dict[str, Any]:
    """Return the body of the answer: `rules` in their order, numbered from 1, and `unmatched`."""
    return {
        "rules": [
            {"number": number, "match": rule.match, "regex": rule.regex, "type": rule.type, "hits": hits}
            for number, (rule, hits) in enumerate(zip(rules, namer.hits, strict=True), 1)
        ],
        "unmatched": {"count": namer.unmatched.count, "names": list(namer.unmatched.names)},
    }
