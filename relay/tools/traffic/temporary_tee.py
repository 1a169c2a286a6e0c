"""A copy of a running relay's datagrams, for as long as somebody renews it: `POST /api/v1/tee` on the admin port.

The relay sends the copies to a socket of loopback and forgets it a few seconds after the last renewal, so nothing has
to be undone if this process dies. Renewals go on in a thread: a slow answer must not keep datagrams waiting. A relay
that does not answer is asked again; a worker that was replaced begins a new copy with the next renewal, and what came
in between is missing.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Post = Callable[[bytes], tuple[int, str]]
    """Sends JSON to the relay's `/api/v1/tee`; returns status and text, or raises RelayError: nobody answers."""

SECONDS: Final = 10
"""Of a lease."""
_EVERY: Final = 1.0
"""Seconds between renewals."""


class Copied(NamedTuple):
    """What the relay copied since the lease began, and what it could not, as nobody took it fast enough."""

    datagrams: int = 0
    dropped: int = 0


class TemporaryTee:
    """State: what the relay said last, and how often its copy may have been interrupted.

    Args:
        post: asks the relay.
        to: `127.0.0.1:PORT`, where the copies go.
    """

    def __init__(self, post: Post, *, to: str, every: float = _EVERY) -> None:
        self._post, self._to, self._every = post, to, every
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._stopped = threading.Event()
        self._before = self._now = Copied()
        self.gaps = 0
        """Renewals without an answer, or answered by a new worker."""

    def __repr__(self) -> str:
        """Report what was copied."""
        return f"<TemporaryTee to {self._to}, {self.copied.datagrams} datagrams, {self.gaps} gaps>"

    @property
    def copied(self) -> Copied:
        """Since the beginning, over all workers of the relay that were asked."""
        return Copied(*map(sum, zip(self._before, self._now, strict=True)))

    def __enter__(self) -> TemporaryTee:
        """Ask for the copy and go on asking.

        Raises:
            RelayError: there is no relay, or it refuses.
        """
        self._ask(SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it end within a second; ask what was copied in all."""
        self._stopped.set()
        self._thread.join()
        self._try(1)

    def _renew(self) -> None:
        while not self._stopped.wait(self._every):
            self._try(SECONDS)

    def _try(self, seconds: int) -> None:
        try:
            self._ask(seconds)
        except RelayError:
            self.gaps += 1

    def _ask(self, seconds: int) -> None:
        status, text = self._post(json.dumps({"to": self._to, "seconds": seconds}).encode())
        self._note(_read(status, text))

    def _note(self, copied: Copied) -> None:
        if copied.datagrams < self._now.datagrams or copied.dropped < self._now.dropped:
            self._before = self.copied
            self.gaps += 1
        self._now = copied


def _read(status: int, text: str) -> Copied:
    """Read an answer.

    Raises:
        RelayError: it is no, or cannot be understood.
    """
    if status == 404:
        raise _error("the relay cannot copy its datagrams", "it is of an older release: statsd-relay reload --upgrade")
    try:
        fields = json.loads(text) if status == 200 else {}
        return Copied(int(fields["datagrams"]), int(fields["dropped"]))
    except (ValueError, KeyError, TypeError) as error:
        said = f"the relay answered {status}: {text.strip()[:200]}"
        raise _error(said, "four copies at a time are allowed, to loopback alone") from error


def _error(message: str, fix: str) -> RelayError:
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.UNREACHABLE)
