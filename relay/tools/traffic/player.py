"""Sends datagrams on a schedule and counts the results: the loop shared by `replay` and `load`.

Time, waiting and the socket are arguments. A datagram counts as sent once the kernel has accepted it; whether a process
receives it is unknown. If no process listens on the target, the kernel reports ECONNREFUSED at a later send (on
loopback at the next one). Sending then ends, since the remaining datagrams would be lost too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from relay.tools.traffic.pace import SLICE
from relay.tools.traffic.pcap import count_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.tools.traffic.interrupt import Interrupt
    from relay.tools.traffic.pace import Pace, Spacing
    from relay.tools.traffic.pcap import Received

GRACE: Final = 0.5
"""Seconds after the end of a steady load in which it may catch up."""


class Player:
    """State: the datagrams sent and not sent so far, and the largest delay.

    Args:
        send: sends a datagram. It raises OSError if that failed, and TimeoutError if it must be tried again.
        interrupt: time, waiting, and the request to stop.
    """

    def __init__(self, send: Callable[[bytes], object], interrupt: Interrupt) -> None:
        self._send, self._interrupt = send, interrupt
        self._began = 0.0
        self.datagrams = 0
        self.lines = 0
        self.bytes = 0
        self.errors = Counter[str]()
        """Datagrams that the kernel did not accept, by its error message."""
        self.is_refused = False
        """No process listens on the target (ECONNREFUSED)."""
        self.late = 0.0
        """Largest delay of a datagram behind its schedule, in seconds."""
        self.seconds = 0.0
        """Duration of the sending."""

    @property
    def is_interrupted(self) -> bool:
        """Whether sending was interrupted."""
        return self._interrupt.is_interrupted

    @property
    def elapsed(self) -> float:
        """Seconds since the sending began."""
        return self._interrupt.monotonic() - self._began

    @property
    def _goes_on(self) -> bool:
        return not (self.is_refused or self._interrupt.is_interrupted)

    def replay(self, received: Iterable[Received], spacing: Spacing) -> None:
        """Send each datagram when it is due; block until all are sent, an interrupt comes, or the target refuses."""
        self._began = self._interrupt.monotonic()
        for time, payload in received:
            due = spacing.moment(time)
            while self._goes_on and (ahead := due - self.elapsed) > 0:
                self._interrupt.wait(ahead)
            if not self._goes_on:
                break
            if spacing.is_kept:
                self.late = max(self.late, self.elapsed - due)
            if self._try(payload):
                self.lines += count_lines(payload)
        self.seconds = self.elapsed

    def load(
        self, datagrams: Sequence[bytes], pace: Pace, *, lines: int, seconds: float, progress: Callable[[int], Any]
    ) -> None:
        """Send a round of datagrams repeatedly, `lines` in each; end as in `replay`, or when the time is over.

        A datagram that the kernel did not accept is tried again as the next one. So the datagrams sent are always the
        first `self.datagrams` of the repeated round.
        """
        self._began = self._interrupt.monotonic()
        number, count = 0, len(datagrams)
        while self._goes_on and number < pace.total and (elapsed := self.elapsed) < seconds + GRACE:
            due = pace.due(elapsed, number)
            if due:
                self.late = max(self.late, elapsed - pace.moment(number))
            for _ in range(due):
                self._try(datagrams[self.datagrams % count])
            number += due
            progress(due)
            if due < pace.burst:
                self._interrupt.wait(SLICE)
        self.lines = lines * self.datagrams
        self.seconds = self.elapsed

    def _try(self, datagram: bytes) -> bool:
        """Send a datagram, again after each timeout; return whether it was sent."""
        while self._goes_on:
            try:
                self._send(datagram)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                self.is_refused = True
            except OSError as error:
                self.errors[error.strerror or str(error)] += 1
                return False
            else:
                self.datagrams += 1
                self.bytes += len(datagram)
                return True
        return False
