"""The plan: all that the supervisor knows of a configuration.

A preflight check or a worker makes it (daemon/lifecycle/plan.py) and sends it as JSON. A worker is started with the
plan accepted last, even if the file on disk has changed since. Another release may have made the plan: unknown fields
are ignored.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from relay.listener.addresses import SocketSpec


class Plan(NamedTuple):
    """The parameters with which a worker is started and supervised."""

    wanted: SocketSpec
    steady: float
    """Seconds after `READY` from which the end of a worker is not an early failure (restarts.py)."""
    state: str
    """The state directory; empty: a replacement would lose the open window."""
    is_text: bool
    level: str
    """Log level."""
    ingest: str
    """Settings with which a worker receives before it reads the configuration; opaque here."""
    text: str | None = None
    """Content of the configuration file, including secrets; "" without a file. None: a plan of an earlier release."""
    generation: int = 1
    """1 at the first start, and one more for each reload."""

    def __repr__(self) -> str:
        """Report the addresses; the text may hold secrets."""
        return f"<Plan {self.wanted}>"

    def to_json(self) -> str:
        """Return the plan as JSON for `from_json` in another process."""
        return json.dumps({**self._asdict(), "wanted": self.wanted._asdict()})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            ValueError: not a plan, or one of an incompatible release.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["wanted"] = SocketSpec.from_json(fields["wanted"])
            return cls(**{name: value for name, value in fields.items() if name in cls._fields})
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("no plan that this release can read") from error
