"""File descriptors: how many there may be, and who gets them.

A client costs one for as long as it likes, and the limit is the process's: without a share of their own, clients would
take those that the spool, the checkpoint, the senders, probes and a reload need. So the limit is raised as far as this
process may; what is open at the start and a reserve are kept, and clients share the rest, the admin port's first.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

RESERVE: Final = 48
"""Descriptors that no client gets, beside one for each sender and those that are open at the start. A busy worker
was measured with 10 more than at its start (database, checkpoint, admin port, senders); tees take up to 8, and dead
letters, replays, look-ups, certificates and a reload some for a moment."""
ADMIN_MOST: Final = 384
ADMIN_BACKLOG: Final = 64
"""Connections that the admin port may accept in a row before it closes the ones that go for them."""
_OPENED: Final = 32
"""What is open at the start, where that cannot be counted: twice what was measured."""
_ADMIN_SHARE: Final = 6
_LEAST: Final = 12
"""With fewer a relay can hardly start; a probe gets in even then."""


class Places(NamedTuple):
    """How many clients may be connected."""

    limit: int
    """Descriptors in all."""
    streams: int
    admin: int


def raise_limit() -> None:
    """Raise the soft limit of this process, and of those that it starts, to the hard one.

    A hard one above the kernel's own limit (fs.nr_open, lowered since) is refused: then the soft one stays.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Warner(Protocol):
    """Who tells people."""

    def warn(self, event: str, *, reason: str, **fields: Any) -> None:  # noqa: ANN401 - log fields are any scalars
        """Log a warning."""
        ...


def divide_descriptors(streams: int, *, senders: int, warner: Warner) -> Places:
    """Return how many clients this process takes, and warn if they are less than wanted; to be called at the start.

    Args:
        streams: connections that are wanted.
        senders: requests to the cloud at a time.
        warner: who tells people.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    places = share(soft, opened=_count_open(), streams=streams, senders=senders)
    if places.streams < streams:
        warner.warn(
            "RLY203 fewer stream connections than configured",
            reason="descriptors",
            stream_connections=places.streams,
            configured=streams,
            open_files_limit=soft,
            fix="raise the hard limit of open files (ulimit -n, LimitNOFILE, --ulimit nofile), or lower the key",
        )
    return places


def _count_open() -> int:
    try:
        with os.scandir("/proc/self/fd") as found:
            return sum(1 for _ in found)
    except OSError:  # a system without /proc
        return _OPENED


def share(limit: int, *, opened: int, streams: int, senders: int) -> Places:
    """Divide descriptors.

    Args:
        limit: of the process; with -1 there is none.
        opened: by the relay itself, before any client came.
        streams: connections that are wanted.
        senders: as above.
    """
    left = max(_LEAST, limit - opened - RESERVE - senders) if limit >= 0 else streams + _ADMIN_SHARE * ADMIN_MOST
    admin = min(ADMIN_MOST, left // _ADMIN_SHARE)
    return Places(limit, min(streams, left - admin - min(admin, ADMIN_BACKLOG)), admin)
