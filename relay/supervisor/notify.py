"""The sending side of sd_notify(3), without a library: one datagram per message to a service manager.

systemd gives an address in NOTIFY_SOCKET and identifies the sender by the kernel's credentials. Our own supervisor
gives one end of a socket pair in RELAY_CHANNEL instead: every user of the machine could flood an address, and messages
to a full queue are lost. A message to the supervisor may carry a descriptor. Without either variable nothing is sent.
`send` ignores errors, as a service manager has its own timeouts; `deliver` raises them.
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
"""Prefix of the messages for our own supervisor only."""
ACCEPTED: Final = f"{OURS}ACCEPTED=1"
"""The configuration in the attached plan (supervisor/plan.py) is in force now."""
REBIND: Final = f"{OURS}REBIND=1"
"""The configuration in the attached plan is accepted and needs other sockets: open them and replace the worker."""
REFUSED: Final = f"{OURS}REFUSED=1"
"""The worker does not hand over and continues."""
HOLD: Final = f"{OURS}HOLD="
"""Hold the attached socket of the admin port; its address follows."""
ADDRESS_BYTES: Final = 107
"""Longest address: sun_path of unix(7) has 108 bytes, the final NUL included."""
CHANNEL: Final = "RELAY_CHANNEL"
"""Environment variable with the descriptor of the worker's end of the socket pair."""


class Notifier:
    """State: the address or the channel of the manager, if there is one, and the interval of its watchdog.

    Args:
        address: of a service manager.
        watchdog: seconds, see below.
        channel: the worker's end of a socket pair, instead of an address.
    """

    def __init__(self, address: str = "", *, watchdog: float = 0.0, channel: socket.socket | None = None) -> None:
        self._address = address
        self._channel = channel
        self.watchdog = watchdog
        """Seconds within which the manager expects `WATCHDOG`; 0: never."""

    def __repr__(self) -> str:
        """Report the manager."""
        return f"<Notifier {self._address or (self._channel and 'supervisor') or 'none'}>"

    @classmethod
    def take(cls, environ: MutableMapping[str, str], *, pid: int) -> Notifier:
        """Make a notifier from the checked environment, and remove its variables for children of this process."""
        address, channel = environ.pop("NOTIFY_SOCKET", ""), environ.pop(CHANNEL, "")
        interval, meant = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        watched = interval and meant in ("", str(pid))
        return cls(address, watchdog=int(interval) / 1e6 if watched else 0.0, channel=_take_channel(channel))

    def environ(self) -> dict[str, str]:
        """Return the variables from which `take` makes an equal notifier; not the channel."""
        watchdog = {"WATCHDOG_USEC": str(round(self.watchdog * 1e6))} if self.watchdog else {}
        return {"NOTIFY_SOCKET": self._address, **watchdog} if self._address else {}

    def send(self, *assignments: str, descriptor: int | None = None) -> None:
        """Send a message to the manager, if there is one; never block, and ignore errors.

        Args:
            assignments: lines of the message, like `READY=1`.
            descriptor: a copy goes to our own supervisor; it is not sent to a service manager.
        """
        with suppress(OSError):
            self.deliver(*assignments, descriptor=descriptor)

    def deliver(self, *assignments: str, descriptor: int | None = None) -> None:
        """Send a message as `send` does, but raise errors; never block.

        Raises:
            OSError: the message was not sent, for example because the queue is full.
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
        """Report that the start or the reload is done."""
        self.send(READY, f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload begins; `ready` ends it."""
        self.send(RELOADING, f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Report that the stop has begun."""
        self.send(STOPPING, f"STATUS={status}")


def _take_channel(number: str) -> socket.socket | None:
    """Return the socket of a descriptor; children of this process do not inherit it."""
    if not number:
        return None
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    return channel
