"""Time, waiting and the request to stop, as `Player` and `Recorder` need them; cli/shared/ implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket


class Interrupt(Protocol):
    """Waits that a request to stop ends."""

    @property
    def is_interrupted(self) -> bool:
        """Whether to stop; cheap to ask."""
        ...

    def monotonic(self) -> float:
        """Return monotonic time in seconds."""
        ...

    def wait(self, seconds: float, sock: socket.socket | None = None) -> None:
        """Return after `seconds`, when the socket is readable, or when interrupted."""
        ...
