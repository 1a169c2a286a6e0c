"""Who gets copies of what is received: the targets of `[[tee]]`, and those that a command asks for on lease.

Each has its place in the hot path, which does the copying: those of the configuration the first ones, in their order,
leases the others. Nothing here can stop the relay: a target that cannot be used is told in the log (RLY106) and tried
again, while its copies count as dropped.

Imported before a worker begins to read, so it imports little.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.tee.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.clock import Clock
    from relay.ledger import LossLog
    from relay.tee.target import GetAddresses

_CONFIGURED: Final = limits.TEES_MOST - limits.TEES_LEASED
"""Places of the configuration's targets, the first ones."""
_LOOK: Final = 1.0
_SOON: Final = 0.05
"""Seconds until the next look while a name is looked up."""
_SILENCE: Final = 60.0
"""Seconds between two warnings of a target."""


class Sink(Protocol):
    """Who copies."""

    def tee(self, fds: Sequence[int]) -> None:
        """Copy to these sockets from now on; -1 is an empty place, and at -2 all copies are dropped."""
        ...

    def tee_counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) by place."""
        ...


@dataclass(slots=True)
class _Lease:
    """A target, the counts of its place when it began, and the monotonic time when it is over."""

    target: Target
    begun: tuple[int, int]
    end: float


class Tees:
    """State: the targets of the configuration, and the leases by place."""

    def __init__(
        self,
        sink: Sink,
        own: Sequence[tuple[str, int]],
        *,
        clock: Clock,
        get_addresses: GetAddresses = socket.getaddrinfo,
    ) -> None:
        """`own`: addresses on which we listen."""
        self._sink = sink
        self._own = own
        self._clock = clock
        self._get_addresses = get_addresses
        self._targets: list[Target] = []
        self._leases: dict[int, _Lease] = {}
        self._is_given = True
        """Whether the hot path has the sockets as they are here; not while no descriptor is free."""

    def __repr__(self) -> str:
        """Report the targets."""
        return f"<Tees {self._everybody()}>"

    def _everybody(self) -> list[Target]:
        return [*self._targets, *(lease.target for lease in self._leases.values())]

    # --- the configuration's ------------------------------------------------------------------------------------------

    def configure(self, targets: Sequence[str]) -> None:
        """Copy to these from now on, at most four; one that was there before keeps its socket.

        Args:
            targets: HOST:PORT each; the host of an IPv6 address is in brackets. Names are looked up, again if need be.
        """
        before, self._targets = self._targets, []
        for to, (_, dropped) in zip(targets, self._sink.tee_counts(), strict=False):
            target = next((one for one in before if one.to == to), None)
            if target:
                before.remove(target)
                target.expire()
            else:
                target = Target(to, self._own, self._get_addresses)
            target.seen_dropped = dropped
            self._targets.append(target)
        self._look_at(self._targets, stale=[target.socket for target in before if target.socket], is_changed=True)

    def counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) of each target of the configuration, since the start."""
        return self._sink.tee_counts()[: len(self._targets)]

    # --- leases -------------------------------------------------------------------------------------------------------

    def lease(self, to: str, seconds: float) -> tuple[int, int]:
        """Copy to an address for a while; asked again, for so long from now.

        Args:
            to: ADDRESS:PORT.
            seconds: how long.

        Returns:
            Datagrams (sent, dropped) since the lease began.

        Raises:
            ValueError: it cannot be done, and why.
        """
        until = self._clock.monotonic() + seconds
        places = {lease.target.to: place for place, lease in self._leases.items()}
        place = places[to] if to in places else self._begin(to)
        lease, (sent, dropped) = self._leases[place], self._sink.tee_counts()[place]
        lease.end = until
        return sent - lease.begun[0], dropped - lease.begun[1]

    def _begin(self, to: str) -> int:
        """Return the place of a new lease.

        Raises:
            ValueError: there is none, or the target cannot be used.
        """
        free = set(range(_CONFIGURED, limits.TEES_MOST)) - self._leases.keys()
        if not free:
            raise ValueError(f"{limits.TEES_LEASED} are leased: wait until one is over")
        place, target = min(free), Target(to, self._own, self._get_addresses)
        fresh = target.look(self._clock.monotonic())
        if fresh is None:
            raise ValueError(target.trouble or "must be an address, not a name")
        target.use(fresh)
        self._leases[place] = _Lease(target, self._sink.tee_counts()[place], inf)
        self._give()
        return place

    def _end_leases(self, now: float) -> list[socket.socket]:
        """Take back what is over; return the sockets, which are to be closed."""
        over = [place for place, lease in self._leases.items() if lease.end <= now]
        ended = [self._leases.pop(place).target.socket for place in over]
        return [sock for sock in ended if sock]

    # --- looking after them -------------------------------------------------------------------------------------------

    async def run(self, loss_log: LossLog) -> None:
        """Look after the targets until cancelled."""
        while True:
            self.look(loss_log)
            await self._clock.sleep(self._until_next_look())

    def look(self, loss_log: LossLog) -> None:
        """Take back leases that are over, find what is not found yet, and warn of what is wrong."""
        now = self._clock.monotonic()
        over = self._end_leases(now)
        self._look_at(self._everybody(), stale=over, is_changed=bool(over))
        for target, (_, dropped) in zip(self._targets, self._sink.tee_counts(), strict=False):
            self._warn(target, dropped, now, loss_log)
        if not self._is_given:
            why, fix = "no descriptor is free", "raise LimitNOFILE; what changed is tried again every second"
            loss_log.warn("RLY106 copies of tees go where they went before", reason="descriptors", why=why, fix=fix)

    def _warn(self, target: Target, dropped: int, now: float, loss_log: LossLog) -> None:
        if target.is_looking_up:
            return  # it says more when it is done
        grown, target.seen_dropped = dropped - target.seen_dropped, dropped
        if (target.trouble or grown) and now >= target.quiet_until:
            target.quiet_until = now + _SILENCE
            loss_log.warn(
                "RLY106 copies of a tee are lost",
                reason=target.to,
                why=target.trouble or "its address was not known yet, or the system took no more for it",
                dropped=dropped,
                fix="let somebody listen there, or change `to` of this [[tee]]",
            )

    def _until_next_look(self) -> float:
        if any(target.is_looking_up for target in self._everybody()):
            return _SOON
        now = self._clock.monotonic()
        return min([_LOOK, *(max(0.0, lease.end - now) for lease in self._leases.values())])

    def _look_at(self, targets: Iterable[Target], *, stale: list[socket.socket], is_changed: bool) -> None:
        """Let targets go on; give the hot path what has changed, and only then close what it had."""
        now = self._clock.monotonic()
        for target in targets:
            fresh = target.look(now)
            before = target.use(fresh) if fresh else None
            if before:
                stale.append(before)
            is_changed = is_changed or fresh is not None
        if stale or is_changed or not self._is_given:
            self._give()
        for sock in stale:
            sock.close()

    def _give(self) -> None:
        fds = [target.fd for target in self._targets]
        if self._leases:
            fds += [-1] * (limits.TEES_MOST - len(fds))
        for place, lease in self._leases.items():
            fds[place] = lease.target.fd
        try:
            self._sink.tee(fds)
        except OSError:
            self._is_given = False
        else:
            self._is_given = True

    def close(self) -> None:
        """Copy to nobody any more."""
        self._sink.tee([])
        for target in self._everybody():
            if target.socket:
                target.socket.close()
        self._targets.clear()
        self._leases.clear()
