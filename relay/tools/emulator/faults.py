"""Faults on demand: what to do wrong, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

KINDS: Final = (
    *("reset", "hang", "redirect"),
    *("lost", "cut", "garbage", "empty", "foreign", "slow", "big", "bomb", "hints"),
    *("partial", "refused"),
)
"""Nothing is stored: reset cuts the connection, hang gives no answer, redirect sends the client to another host.
Everything is stored: lost then cuts the connection, cut does so in the answer; garbage, empty and foreign answer HTML,
nothing, or JSON of another service; slow answers a byte a second, big a gigabyte, bomb a small one that inflates to it,
hints with a 103 and another without an end. Points are listed as bad: the first one by partial, all of them by refused.
"""
_TEXT: Final = re.compile(r"(?P<kind>[a-z]+|[2-5][0-9]{2})(?::(?P<amount>[0-9]+(?:\.[0-9]+)?)(?P<percent>%)?)?")
_REQUESTS_MOST: Final = 1_000_000_000


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong: with a share of the requests, or with a number of them."""

    kind: str
    """A status code or one of KINDS."""
    share: float = 1.0
    """0..1."""
    left: int | None = None
    """Requests still to spoil; None for ever."""
    headers: dict[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `429:5%` (a share), `500:3` (the next three) or `hang` (always).

        Raises:
            ValueError: with the rule.
        """
        match = _TEXT.fullmatch(text)
        if match is None or not (match["kind"].isdigit() or match["kind"] in KINDS):
            kinds = f"a status code from 200 to 599 or one of {', '.join(KINDS)}"
            raise ValueError(f"must be KIND, KIND:N or KIND:N% with KIND {kinds}")
        amount = float(match["amount"] or 1)
        if match["percent"] and amount > 100:
            raise ValueError("must be KIND:N% with N from 0 to 100, the share of the requests")
        if not match["percent"] and not (1 <= amount <= _REQUESTS_MOST and amount.is_integer()):
            raise ValueError(f"must be KIND:N with N a whole number of requests from 1 to {_REQUESTS_MOST}")
        if match["percent"]:
            return cls(match["kind"], share=amount / 100)
        return cls(match["kind"], left=int(amount) if match["amount"] else None)

    def strikes(self, dice: float) -> bool:
        """Say whether this request is spoiled; `dice` is 0..1."""
        if self.left == 0 or dice >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True
