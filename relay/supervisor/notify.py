"""sd_notify(3) without a library: what a service manager is told, one datagram a message.

systemd gives an address in NOTIFY_SOCKET and learns from the kernel who sent a message. Our own supervisor gives the
descriptor of one end of a pair of sockets in RELAY_CHANNEL: an address could be flooded by every user of the machine,
and what waits before a full queue is lost. A message to the supervisor may carry a descriptor. Without a variable
nothing is sent. A message that cannot be sent is not worth a failure: the manager has its own timeouts.
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
OURS: Final = "X_STATSD_RELAY_"
"""How what is meant for our own supervisor alone begins."""
ACCEPTED: Final = f"{OURS}ACCEPTED=1"
"""This configuration is the one in force: a plan comes with the message (supervisor/plan.py)."""
REBIND: Final = f"{OURS}REBIND=1"
"""This configuration is accepted, and its addresses are others: open them and replace me; a plan comes with it."""
REFUSED: Final = f"{OURS}REFUSED=1"
"""I do not hand over and go on as I am."""
HOLD: Final = f"{OURS}HOLD="
"""Hold this socket of the admin port, whose address follows; it comes with the message."""
ADDRESS_BYTES: Final = 107
"""Of an address: unix(7) has room for 108 with the NUL that ends a path."""
CHANNEL: Final = "RELAY_CHANNEL"
"""Variable of the descriptor on which our own supervisor listens."""


class Notifier:
    """State: where messages go, if anywhere, and the interval of the manager's watchdog.

    Args:
        address: of a service manager.
        watchdog: seconds, see below.
        channel: our end of a pair of sockets, instead of an address.
    """

    def __init__(self, address: str = "", *, watchdog: float = 0.0, channel: socket.socket | None = None) -> None:
        self._address = address
        self._channel = channel
        self.watchdog = watchdog
        """Seconds within which the manager wants to hear `WATCHDOG`; 0: it does not."""

    def __repr__(self) -> str:
        """Report the manager."""
        return f"<Notifier {self._address or (self._channel and 'supervisor') or 'none'}>"

    @classmethod
    def take(cls, environ: MutableMapping[str, str], *, pid: int) -> Notifier:
        """Make the one that the checked environment asks for; children of this process are told nothing of it."""
        address, channel = environ.pop("NOTIFY_SOCKET", ""), environ.pop(CHANNEL, "")
        interval, meant = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        watched = interval and meant in ("", str(pid))
        return cls(address, watchdog=int(interval) / 1e6 if watched else 0.0, channel=_take_channel(channel))

    def environ(self) -> dict[str, str]:
        """Return what `take` would make this one from again."""
        watchdog = {"WATCHDOG_USEC": str(round(self.watchdog * 1e6))} if self.watchdog else {}
        return {"NOTIFY_SOCKET": self._address, **watchdog} if self._address else {}

    def send(self, *assignments: str, descriptor: int | None = None) -> None:
        """Tell the manager, if there is one; never blocks and never fails.

        Args:
            assignments: what to say.
            descriptor: for our own supervisor, which gets a copy; a service manager is not given it.
        """
        with suppress(OSError):
            self.deliver(*assignments, descriptor=descriptor)

    def deliver(self, *assignments: str, descriptor: int | None = None) -> None:
        """Do what `send` does, where a message that is lost is worth a failure; never blocks.

        Raises:
            OSError: it is not on its way, since what should read does not.
        """
        message = "\n".join(assignments).encode()
        if self._channel:
            descriptors = [] if descriptor is None else [descriptor]
            socket.send_fds(self._channel, [message], descriptors, socket.MSG_DONTWAIT)
        elif self._address:
            self._send_to_address(message)

    def _send_to_address(self, message: bytes) -> None:
        to = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message, socket.MSG_DONTWAIT, to)

    def ready(self, status: str = "") -> None:
        """Say that start or reload is done."""
        self.send(READY, f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        self.send(RELOADING, f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Say that the stop has begun."""
        self.send(STOPPING, f"STATUS={status}")


def _take_channel(number: str) -> socket.socket | None:
    """Return the socket that a variable names; children of this process are not given it."""
    if not number:
        return None
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    return channel
