"""Sends datagrams on a schedule and tells how that went: the loop that `replay` and `load` share.

Time, waiting and the socket are handed in. A datagram counts as sent when the kernel took it, whoever listens. That
nobody does is told by the kernel with the next call, on loopback at once; then it ends, as the rest would be lost too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from relay.tools.traffic.pace import SLICE
from relay.tools.traffic.pcap import count_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.tools.traffic.pace import Pace, Spacing
    from relay.tools.traffic.pcap import Received

GRACE: Final = 0.5
"""Seconds after its end in which a steady load may catch up."""


class Waiter(Protocol):
    """Time, and whether somebody has had enough."""

    @property
    def is_interrupted(self) -> bool:
        """Whether to stop; costs nothing to ask."""
        ...

    def monotonic(self) -> float:
        """Seconds; never steps back."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so long, or when interrupted."""
        ...


class Player:
    """State: what was sent so far, what could not be, how late it was.

    Args:
        send: takes a datagram; OSError: it was not sent, TimeoutError: not yet.
    """

    def __init__(self, send: Callable[[bytes], object], waiter: Waiter) -> None:
        self._send, self._waiter = send, waiter
        self._began = 0.0
        self.datagrams = 0
        self.lines = 0
        self.bytes = 0
        self.errors = Counter[str]()
        """Datagrams that the kernel did not take, in its words."""
        self.is_refused = False
        """Nobody listens."""
        self.late = 0.0
        """Seconds, at worst."""
        self.seconds = 0.0
        """How long it took."""

    def __repr__(self) -> str:
        """Report what was sent."""
        return f"<Player {self.datagrams} datagrams, {self.lines} lines, {self.errors.total()} errors>"

    @property
    def is_interrupted(self) -> bool:
        """Whether it was to stop."""
        return self._waiter.is_interrupted

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return self._waiter.monotonic() - self._began

    @property
    def _goes_on(self) -> bool:
        return not (self.is_refused or self._waiter.is_interrupted)

    def replay(self, received: Iterable[Received], spacing: Spacing) -> None:
        """Send each when it is due; blocks until all are sent, it is interrupted, or nobody listens."""
        self._began = self._waiter.monotonic()
        for time, payload in received:
            due = spacing.moment(time)
            while self._goes_on and (ahead := due - self.elapsed) > 0:
                self._waiter.wait(ahead)
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
        """Send a round of datagrams over and over, `lines` in each; ends as `replay`, or when its time is over.

        One that the kernel did not take is the next one again: what was sent is always the first `self.datagrams`.
        """
        self._began = self._waiter.monotonic()
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
                self._waiter.wait(SLICE)
        self.lines = lines * self.datagrams
        self.seconds = self.elapsed

    def _try(self, datagram: bytes) -> bool:
        """Send one; wait for a receiver that lets senders wait. Return whether it was sent."""
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
