"""The rules of a running relay as they do their work: how many names each took, and the newest that none took.

Names are a user's, so the route is for this machine alone (guard.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from relay.admin.http.guard import local_only

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Rule(Protocol):
    """One rule of the configuration; its match or its regex is empty."""

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
        """The class that it is for; empty: every one."""
        ...


class Unmatched(Protocol):
    """Identities that no rule matched."""

    @property
    def count(self) -> int:
        """How many there were."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The newest distinct ones, newest first."""
        ...


class Namer(Protocol):
    """Who follows the rules."""

    @property
    def hits(self) -> Sequence[int]:
        """Identities by rule since the rules are in force."""
        ...

    @property
    def unmatched(self) -> Unmatched:
        """What followed none."""
        ...


def rule_routes(in_force: Callable[[], tuple[Sequence[Rule], Namer]]) -> list[web.RouteDef]:
    """Return `GET /api/v1/rules`.

    Args:
        in_force: returns the rules and who follows them; asked for each request, since a reload changes both.
    """

    async def show(_: web.Request) -> web.Response:
        return web.json_response(table(*in_force()))

    return [web.get("/api/v1/rules", local_only(show))]


def table(rules: Sequence[Rule], namer: Namer) -> dict[str, Any]:
    """Return the answer: `rules` in their order, numbered from 1, and `unmatched`."""
    return {
        "rules": [
            {"number": number, "match": rule.match, "regex": rule.regex, "type": rule.type, "hits": hits}
            for number, (rule, hits) in enumerate(zip(rules, namer.hits, strict=True), 1)
        ],
        "unmatched": {"count": namer.unmatched.count, "names": list(namer.unmatched.names)},
    }
