"""What the kernel lost: looked at once a second, told in the log once a minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.clock import Clock
    from relay.ledger import LossLog
    from relay.listener.udp import UdpListener

_INTERVAL: Final = 1.0
_SILENCE: Final = 60.0
"""Seconds between two warnings of a socket; the first one comes within a second."""


@dataclass(slots=True)
class _Told:
    """Of one socket: the drops that the log knows, and when it may be told more."""

    drops: int = 0
    next_at: float = 0.0


class KernelDropWatch:
    """State: the drops told so far, by listener."""

    def __init__(self, listeners: Sequence[UdpListener], *, loss_log: LossLog, clock: Clock) -> None:
        self._listeners = listeners
        self._loss_log = loss_log
        self._clock = clock
        self._told = {listener.label: _Told() for listener in listeners}

    def __repr__(self) -> str:
        """Report the drops."""
        return f"<KernelDropWatch {self._told}>"

    async def run(self) -> None:
        """Look until cancelled."""
        self.tell_of_buffers()
        while True:
            self.look()
            await self._clock.sleep(_INTERVAL)

    def tell_of_buffers(self) -> None:
        """Warn of buffers that are smaller than asked for, with the command that helps."""
        for listener in self._listeners:
            if listener.granted < listener.asked:
                self._loss_log.warn(
                    "RLY201 receive buffer cut by the kernel",
                    reason=listener.label,
                    asked=int(listener.asked),
                    granted=listener.granted,
                    restart_ms=bearable_ms(listener.granted),
                    fix=f"sysctl -w net.core.rmem_max={int(listener.asked)}, or give the process CAP_NET_ADMIN",
                )

    def look(self) -> None:
        """Warn of what was dropped since the last warning."""
        now = self._clock.monotonic()
        for listener in self._listeners:
            drops, told = listener.kernel_drops, self._told[listener.label]
            if drops > told.drops and now >= told.next_at:
                self._loss_log.warn(
                    "RLY202 the kernel dropped packets",
                    reason=listener.label,
                    packets=drops - told.drops,
                    total=drops,
                    buffer=listener.granted,
                    fix=_fix(listener),
                )
                told.drops, told.next_at = drops, now + _SILENCE


def _fix(listener: UdpListener) -> str:
    if listener.granted < listener.asked:
        return f"sysctl -w net.core.rmem_max={int(listener.asked)}: the kernel granted less than was asked for"
    return "a larger [listen] receive_buffer holds longer bursts; more [listen] readers take more senders"


def bearable_ms(granted: int) -> int:
    """Return how long nobody may read, at 8,000 small packets a second, before the kernel drops: a restart's time.

    The kernel keeps twice what it granted, for packets and what it needs to hold them.
    """
    return int(1000 * 2 * granted / limits.PACKET_MEMORY / 8000)
