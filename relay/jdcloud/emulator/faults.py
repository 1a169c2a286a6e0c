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
_TEXT: Final = re.compile(r"(?P<kind>[a-z]+|[1-5]\d\d)(?::(?P<amount>\d+(?:\.\d+)?)(?P<percent>%)?)?")


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
            raise ValueError(f"must be KIND, KIND:N or KIND:N% with KIND a status code or one of {', '.join(KINDS)}")
        if match["percent"]:
            return cls(match["kind"], share=float(match["amount"]) / 100)
        return cls(match["kind"], left=int(float(match["amount"])) if match["amount"] else None)

    def strikes(self, dice: float) -> bool:
        """Say whether this request is spoiled; `dice` is 0..1."""
        if self.left == 0 or dice >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True
