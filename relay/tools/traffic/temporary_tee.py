"""Keeps up a temporary tee of a running relay through `POST /api/v1/tee` on its admin port.

The relay sends copies of its datagrams to a loopback socket, and stops 10 s after the last renewal; so nothing has to
be undone if this process dies. A thread renews the tee, since a slow answer must not delay the reading of datagrams.
A relay that does not answer is asked again. A new worker starts the copies at the next renewal; datagrams that it
received before are missing.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.admin.answers.error import error_sentence
from relay.errors import RelayError, unreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Post = Callable[[bytes], tuple[int, str]]
    """Sends JSON to the relay's `/api/v1/tee`; returns status and text; raises RelayError if no relay answers."""

SECONDS: Final = 10
"""Seconds from a renewal to the end of the copies."""
_EVERY: Final = 1.0
"""Seconds between renewals."""


class Copied(NamedTuple):
    """Datagrams copied since the tee began, and those dropped because the receiver did not read fast enough."""

    datagrams: int = 0
    dropped: int = 0


class TemporaryTee:
    """State: the relay's latest counts, and how often the copies may have been interrupted.

    Args:
        post: sends a request to the relay.
        to: `127.0.0.1:PORT`, the target of the copies.
        every: seconds between renewals.
    """

    def __init__(self, post: Post, *, to: str, every: float = _EVERY) -> None:
        self._post, self._to, self._every = post, to, every
        self._thread = threading.Thread(target=self._renew, name="temporary-tee", daemon=True)
        self._stopped = threading.Event()
        self._before = self._now = Copied()
        self.gaps = 0
        """Renewals without an answer, or answered by a new worker."""

    @property
    def copied(self) -> Copied:
        """Counts since the beginning, summed over all workers of the relay."""
        return Copied(*map(sum, zip(self._before, self._now, strict=True)))

    def __enter__(self) -> TemporaryTee:
        """Start the tee and its renewal.

        Raises:
            RelayError: no relay answers, or it refuses.
        """
        self._ask(SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the renewal, let the tee end after one second, and read the final counts."""
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
        self._count(_read(status, text))

    def _count(self, copied: Copied) -> None:
        if copied.datagrams < self._now.datagrams or copied.dropped < self._now.dropped:
            self._before = self.copied
            self.gaps += 1
        self._now = copied


def _read(status: int, text: str) -> Copied:
    """Parse an answer.

    Raises:
        RelayError: the relay refuses, or the answer cannot be parsed.
    """
    if status == 404:
        raise unreachable(
            "the relay cannot copy its datagrams", "it is of an older release: statsd-relay reload --upgrade"
        )
    try:
        fields = json.loads(text) if status == 200 else {}
        return Copied(int(fields["datagrams"]), int(fields["dropped"]))
    except (ValueError, KeyError, TypeError) as error:
        said = f"the relay answered {status}: {error_sentence(text)[:200]}"
        raise unreachable(said, "at most four copies run at a time, to loopback only") from error
