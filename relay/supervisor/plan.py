"""The plan: all that the supervisor knows of a configuration. A trial or a worker makes it and sends it as JSON.

A worker is started with the plan accepted last, even if the file on disk has changed since. Another release may have
made the plan: unknown fields are ignored. Not known here: how a plan is made (daemon/lifecycle/plan.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay.listener.addresses import SocketSpec
from relay.listener.socket_activation import INGEST, SUCCESSOR, SUPERVISOR, TEXT
from relay.supervisor.notify import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN: Final = "RELAY_PLAN"
"""Environment variable with the descriptor to which a trial writes the plan."""
THOROUGH: Final = "RELAY_TRIAL"
"""Environment variable by which a trial also imports every module and checks the files that a worker needs."""
_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID")
_OURS: Final = (*_SYSTEMD, CHANNEL, SUPERVISOR, SUCCESSOR, INGEST, PLAN, THOROUGH, TEXT)


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
    """Content of the configuration file, including secrets; None: there is no file."""

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


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables meant for this process."""
    return {name: value for name, value in environ.items() if name not in _OURS}
