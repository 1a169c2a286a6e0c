"""Warns of datagrams that the kernel dropped: checked once a second, logged at most once a minute per socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.context import Context
    from relay.listener.udp import UdpListener

_INTERVAL: Final = 1.0
_SILENCE: Final = 60.0
"""Minimum interval between two warnings of one socket, in seconds; the first one comes within a second."""
_DROPPED: Final = "the kernel dropped packets"


class KernelDropWatch:
    """State: the drops logged so far, by listener."""

    def __init__(self, listeners: Sequence[UdpListener], context: Context) -> None:
        self._listeners = listeners
        self._clock, self._loss_log = context.clock, context.loss_log
        self._logged = {listener.label: 0 for listener in listeners}

    async def run(self) -> None:
        """Check once a second until cancelled."""
        self.log_buffers()
        while True:
            self.check()
            await self._clock.sleep(_INTERVAL)

    def log_buffers(self) -> None:
        """Warn of receive buffers smaller than asked for, with the command that enlarges them."""
        for listener in self._listeners:
            if listener.granted < listener.asked:
                self._loss_log.warn(
                    "the kernel granted a smaller receive buffer",
                    code="RLY201",
                    subject=listener.label,
                    listener=listener.label,
                    asked_bytes=int(listener.asked),
                    granted_bytes=listener.granted,
                    restart_ms=bearable_ms(listener.granted),
                    fix=f"sysctl -w net.core.rmem_max={int(listener.asked)}, or give the process CAP_NET_ADMIN",
                )

    def check(self) -> None:
        """Warn of datagrams dropped since the last warning."""
        for listener in self._listeners:
            drops, logged = listener.kernel_drops, self._logged[listener.label]
            if drops > logged and not self._loss_log.is_muted(_DROPPED, subject=listener.label):
                self._logged[listener.label] = drops
                self._loss_log.warn(
                    _DROPPED,
                    code="RLY202",
                    subject=listener.label,
                    every=_SILENCE,
                    listener=listener.label,
                    packets=drops - logged,
                    granted_bytes=listener.granted,
                    fix=_fix(listener),
                )


def _fix(listener: UdpListener) -> str:
    if listener.granted < listener.asked:
        return f"sysctl -w net.core.rmem_max={int(listener.asked)}: the kernel granted less than was asked for"
    return "a larger [listen] receive_buffer holds longer bursts; more [listen] readers serve more senders"


def bearable_ms(granted: int) -> int:
    """Return how many milliseconds a pause in reading may last before the kernel drops packets.

    A restart is such a pause. Assumes 8,000 small packets a second. The kernel reserves twice the granted size, for the
    packets and its own overhead.
    """
    return int(1000 * 2 * granted / limits.PACKET_MEMORY / 8000)
