"""Where the figures of the metrics come from: what the admin port needs of the relay, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.ledger import Books, Ledger
    from relay.model import Tally


class Listener(Protocol):
    """What is told of a socket."""

    @property
    def label(self) -> str:
        """Its name, `udp://127.0.0.1:8125`."""
        ...

    @property
    def datagrams(self) -> int:
        """Received."""
        ...

    @property
    def kernel_drops(self) -> int:
        """Lost before anybody could read them."""
        ...

    @property
    def queue_bytes(self) -> int:
        """Memory of the kernel's queue."""
        ...

    @property
    def limit_bytes(self) -> int:
        """Where the kernel drops."""
        ...


class StreamListener(Protocol):
    """What is told of a listening stream socket."""

    @property
    def label(self) -> str:
        """Its name, `tcp://127.0.0.1:8125`."""
        ...

    @property
    def datagrams(self) -> int:
        """Chunks or frames received."""
        ...

    @property
    def connections(self) -> int:
        """Open now."""
        ...

    @property
    def refused(self) -> int:
        """Closed at once."""
        ...

    @property
    def idle_closed(self) -> int:
        """Closed because nothing came."""
        ...

    @property
    def evicted(self) -> int:
        """Closed for another one."""
        ...


class Streams(Protocol):
    """What is told of streams."""

    @property
    def listeners(self) -> Sequence[StreamListener]:
        """Their sockets."""
        ...


class Spool(Protocol):
    """What is told of the spool."""

    @property
    def batches(self) -> int:
        """That wait."""
        ...

    @property
    def bytes(self) -> int:
        """Compressed."""
        ...

    @property
    def oldest_window(self) -> int | None:
        """Id of the oldest that waits."""
        ...

    @property
    def limit_bytes(self) -> int:
        """Quota on disk."""
        ...


class State(Protocol):
    """Where the figures come from."""

    is_health_down: bool
    """What the console's `health` says."""

    @property
    def hotpath_name(self) -> str:
        """Which implementation runs."""
        ...

    @property
    def series_limit(self) -> int:
        """Bound of the open window's series."""
        ...

    @property
    def rule_hits(self) -> Sequence[int]:
        """Identities named by each rule."""
        ...

    @property
    def rate_limit(self) -> float:
        """Requests a minute."""
        ...

    @property
    def loop_lag(self) -> float:
        """Seconds."""
        ...

    @property
    def windows_closing(self) -> int:
        """Windows that ended and are not stored."""
        ...

    @property
    def window_opens_in(self) -> float:
        """Seconds until the open window begins, if committed ids are ahead of the clock; else 0."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses what should be on it."""
        ...

    @property
    def checkpoint_interval(self) -> float:
        """Seconds; 0 without a state directory."""
        ...

    @property
    def is_last_reload_successful(self) -> bool:
        """Whether the configuration on disk is the one in force."""
        ...

    @property
    def requests_in_flight(self) -> int:
        """That wait for an answer."""
        ...

    @property
    def listeners(self) -> Sequence[Listener]:
        """Sockets of datagrams."""
        ...

    @property
    def streams(self) -> Streams:
        """Sockets of streams."""
        ...

    @property
    def tees(self) -> Sequence[tuple[int, int]]:
        """Copies (sent, dropped) of each tee."""
        ...

    @property
    def spool(self) -> Spool:
        """What waits."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Counters."""
        ...

    def tally(self) -> Tally:
        """Counts of the hot path."""
        ...

    def books(self) -> Books:
        """The equations."""
        ...

    def wall(self) -> float:
        """Wall time in seconds."""
        ...
