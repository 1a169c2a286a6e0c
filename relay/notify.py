"""sd_notify(3) without a library: what a service manager is told, one datagram a message.

The manager may be systemd or our own supervisor; both give the address in NOTIFY_SOCKET and learn from the kernel who
sent a message. Without the variable nothing is sent. A message that cannot be sent is not worth a failure: the manager
has its own timeouts.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
RELOADING: Final = "RELOADING=1"
WATCHDOG: Final = "WATCHDOG=1"
REBIND: Final = "X_STATSD_RELAY_REBIND=1"
"""To our own supervisor: the configuration's addresses have changed; open them and replace me."""


class Notifier:
    """State: the address of the manager, if there is one, and the interval of its watchdog."""

    def __init__(self, address: str = "", *, watchdog: float = 0.0) -> None:
        self._address = address
        self.watchdog = watchdog
        """Seconds within which the manager wants to hear `WATCHDOG`; 0: it does not."""

    def __repr__(self) -> str:
        """Report the manager."""
        return f"<Notifier {self._address or 'nobody'}>"

    @classmethod
    def take(cls, environ: MutableMapping[str, str], *, pid: int) -> Notifier:
        """Make the one the environment asks for; children of this process are told nothing of it."""
        address = environ.pop("NOTIFY_SOCKET", "")
        interval, meant = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        watched = interval.isdigit() and meant in ("", str(pid))
        return cls(address, watchdog=int(interval) / 1e6 if watched else 0.0)

    def environ(self) -> dict[str, str]:
        """Return what `take` would make this one from again."""
        watchdog = {"WATCHDOG_USEC": str(round(self.watchdog * 1e6))} if self.watchdog else {}
        return {"NOTIFY_SOCKET": self._address, **watchdog} if self._address else {}

    def send(self, *assignments: str) -> None:
        """Tell the manager, or nobody; never blocks and never fails."""
        if not self._address:
            return
        to = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, to)

    def ready(self, status: str = "") -> None:
        """Say that start or reload is done."""
        self.send(READY, f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        self.send(RELOADING, f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Say that the stop has begun."""
        self.send(STOPPING, f"STATUS={status}")
