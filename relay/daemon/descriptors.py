"""File descriptors: the limit of the process, and its division between the relay and its clients.

Each connected client holds one descriptor for as long as it stays. Without a bound, clients would exhaust those that
the spool, the checkpoint, the senders, probes and a reload need. So the soft limit is raised to the hard one, the
descriptors open at the start and a reserve are set aside, and the rest is divided: first the admin port, then streams.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from relay.loss_log import LossLog

RESERVE: Final = 48
"""Descriptors set aside for the relay, besides one for each sender and those open at the start. A busy worker was
measured with 10 more than at its start (database, checkpoint, admin port, senders). Tees take up to 8. Dead letters,
replays, look-ups, certificates and a reload take some for a moment."""
ADMIN_MOST: Final = 384
ADMIN_BACKLOG: Final = 64
"""Connections that the admin port may accept in a row before it closes those that they replace."""
_OPENED: Final = 32
"""Descriptors assumed open at the start where they cannot be counted: twice the measured number."""
_ADMIN_SHARE: Final = 6
_LEAST: Final = 12
"""Descriptors divided among clients at least, even beyond the limit: a probe must always get a connection."""


class Places(NamedTuple):
    """How many clients may be connected: stream connections, and those of the admin port."""

    limit: int
    """Descriptors of the process in all."""
    streams: int
    admin: int


def raise_limit() -> None:
    """Raise the soft limit of this process and its children to the hard limit.

    The kernel refuses that if fs.nr_open was lowered below the hard limit; the soft limit then stays as it is.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def divide_descriptors(streams: int, *, senders: int, loss_log: LossLog) -> Places:
    """Return how many clients this process accepts; warn if fewer streams fit than are configured.

    Call it at the start: descriptors that are open by then count as the relay's own.

    Args:
        streams: configured stream connections.
        senders: concurrent requests to the cloud.
        loss_log: gets the warning.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    places = share(soft, opened=_count_open(), streams=streams, senders=senders)
    if places.streams < streams:
        loss_log.warn(
            "fewer stream connections than configured",
            code="RLY205",
            connections=places.streams,
            configured_connections=streams,
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
    """Divide the descriptors of a process.

    Args:
        limit: descriptors that the process may open; -1: unlimited.
        opened: descriptors open before the first client connects.
        streams: configured stream connections.
        senders: concurrent requests to the cloud.
    """
    left = max(_LEAST, limit - opened - RESERVE - senders) if limit >= 0 else streams + _ADMIN_SHARE * ADMIN_MOST
    admin = min(ADMIN_MOST, left // _ADMIN_SHARE)
    return Places(limit, min(streams, left - admin - min(admin, ADMIN_BACKLOG)), admin)
