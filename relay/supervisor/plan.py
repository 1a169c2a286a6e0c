"""What the supervisor must know of a configuration; made by the program that a worker runs, carried as JSON.

The plan of the configuration that was accepted last is all that a worker is started with, whatever is on disk by then.
Another release may have made it: what is not known here is not read.
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
"""Variable of the descriptor that a trial writes the plan to."""
THOROUGH: Final = "RELAY_TRIAL"
"""Variable that asks a trial for every module that a worker may need."""
_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID")
_OURS: Final = (*_SYSTEMD, CHANNEL, SUPERVISOR, SUCCESSOR, INGEST, PLAN, THOROUGH, TEXT)


class Plan(NamedTuple):
    """What a worker is started with, and what it is judged by."""

    wanted: SocketSpec
    steady: float
    """Seconds after which a worker that was ready has proved itself."""
    state: str
    """The state directory; empty: a replacement would lose the open window."""
    is_text: bool
    level: str
    """Of the log."""
    ingest: str
    """For the worker's first milliseconds; opaque here."""
    text: str | None = None
    """What was in the configuration file, secrets and all; None: there is no file."""

    def __repr__(self) -> str:
        """Report the addresses, and never the text."""
        return f"<Plan {self.wanted}>"

    def to_json(self) -> str:
        """For `from_json` in another process."""
        return json.dumps({**self._asdict(), "wanted": self.wanted._asdict()})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is none, or that of a release that makes other plans.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["wanted"] = SocketSpec.from_json(fields["wanted"])
            return cls(**{name: value for name, value in fields.items() if name in cls._fields})
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("no plan that this release can read") from error


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what was meant for this process."""
    return {name: value for name, value in environ.items() if name not in _OURS}
