"""Faults to inject: their kinds, and to which requests they apply."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from relay.wording import plural

KINDS: Final = (
    *("reset", "hang", "redirect"),
    *("lost", "cut", "garbage", "empty", "foreign", "slow", "big", "bomb", "hints"),
    *("partial", "refused"),
)
"""Without storing the points: `reset` cuts the connection, `hang` gives no answer, `redirect` names another host.

After storing the points: `lost` cuts the connection before the answer, `cut` within it. The answer of `garbage` is
HTML, of `empty` nothing, of `foreign` JSON of another service. `slow` sends a byte a second, `big` 1 GiB, `bomb` 1 MB
that inflates to 1 GiB, `hints` an endless sequence of 103 answers.

Points refused: `partial` lists the first point as bad, `refused` all points.
"""
_TEXT: Final = re.compile(r"(?P<kind>[a-z]+|[2-5][0-9]{2})(?::(?P<amount>[0-9]+(?:\.[0-9]+)?)(?P<percent>%)?)?")
_REQUESTS_MOST: Final = 1_000_000_000


@dataclass(slots=True)
class Fault:
    """A fault that applies to a share of the requests, or to a number of them."""

    kind: str
    """A status code or one of KINDS."""
    share: float = 1.0
    """0..1."""
    left: int | None = None
    """Number of requests to which it still applies; None: no limit."""
    headers: dict[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Parse `429:5%` (a share), `500:3` (the next three) or `hang` (always).

        Raises:
            ValueError: the text breaks the rule; the message is the rule.
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

    def __str__(self) -> str:
        """Return the kind and to which requests it applies."""
        if self.left is not None:
            return f"{self.kind} for the next {plural(self.left, 'request')}"
        return f"{self.kind} for every request" if self.share == 1 else f"{self.kind} for {self.share * 100:g} %"

    def strikes(self, dice: float) -> bool:
        """Say whether the fault applies to this request; `dice` is a random number in 0..1."""
        if self.left == 0 or dice >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True
