"""The targets of copies: those of `[[tee]]`, and temporary tees, which a command asks for and renews.

Each target has a place in the hot path, which sends the copies. The configured targets have the first places, in their
order; temporary tees have the others. An unusable target never stops the relay: it is logged (RLY106) and tried again,
and meanwhile its copies count as dropped.

A worker imports this module before it begins to read, so it imports little. Does not know: how copies are sent, HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.resolver import Resolver
from relay.tee.target import Target

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from relay.clock import Clock
    from relay.loss_log import LossLog

_CONFIGURED: Final = limits.TEES_MOST - limits.TEES_TEMPORARY
"""Number of places for configured targets, from place 0."""
_INTERVAL: Final = 1.0
_SOON: Final = 0.05
"""Interval between checks while a name is being resolved, in seconds."""
_SILENCE: Final = 60.0
"""Minimum interval between two warnings of one target, in seconds."""
_LOST: Final = "copies of a tee are lost"


class Sink(Protocol):
    """Sender of the copies: the hot path."""

    def tee(self, fds: Sequence[int]) -> None:
        """Copy to these sockets from now on, by place; -1: empty place, -2: count every copy as dropped."""
        ...

    def tee_counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) by place."""
        ...


@dataclass(slots=True)
class _TemporaryTee:
    """A temporary tee: its target, the counts of its place when it began, and the monotonic time of its end."""

    target: Target
    begun: tuple[int, int]
    end: float


class Tees:
    """State: the configured targets, and the temporary tees by place."""

    def __init__(
        self,
        sink: Sink,
        own: Sequence[tuple[str, int]],
        *,
        clock: Clock,
        resolver: Resolver | None = None,
    ) -> None:
        """Start without targets; `own` are the addresses that this relay listens on."""
        self._sink = sink
        self._own = own
        self._clock = clock
        self._resolver = resolver or Resolver()
        self._targets: list[Target] = []
        self._temporary: dict[int, _TemporaryTee] = {}
        self._is_current = True
        """Whether the hot path uses the current sockets; False after it failed for want of a descriptor."""

    def _all_targets(self) -> list[Target]:
        return [*self._targets, *(tee.target for tee in self._temporary.values())]

    # --- configured targets -------------------------------------------------------------------------------------------

    def configure(self, targets: Sequence[str]) -> None:
        """Replace the configured targets; a target that was configured before keeps its socket.

        Args:
            targets: at most four, HOST:PORT each; an IPv6 address is in brackets. Names are resolved anew.
        """
        before, self._targets = self._targets, []
        for to, (_, dropped) in zip(targets, self._sink.tee_counts(), strict=False):
            target = next((one for one in before if one.to == to), None)
            if target:
                before.remove(target)
                target.expire()
            else:
                target = Target(to, self._own, self._resolver)
            target.seen_dropped = dropped
            self._targets.append(target)
        self._refresh(self._targets, stale=[target.socket for target in before if target.socket], is_changed=True)

    def counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) of the place of each configured target, since the start."""
        return self._sink.tee_counts()[: len(self._targets)]

    def dropped(self) -> dict[str, int]:
        """Return the copies dropped since the start at the place of each configured target."""
        return {target.to: dropped for target, (_, dropped) in zip(self._targets, self.counts(), strict=False)}

    def troubles(self) -> dict[str, str]:
        """Return why each configured target receives nothing, of those that do not."""
        return {target.to: target.trouble for target in self._targets if target.trouble}

    # --- temporary tees -----------------------------------------------------------------------------------------------

    def has_temporary(self, to: str) -> bool:
        """Return whether a temporary tee to this address runs."""
        return any(tee.target.to == to for tee in self._temporary.values())

    def renew_temporary(self, to: str, seconds: float) -> tuple[int, int]:
        """Start a temporary tee to an address, or extend it to `seconds` from now.

        Args:
            to: ADDRESS:PORT; names are refused.
            seconds: duration.

        Returns:
            Datagrams (sent, dropped) since the temporary tee began.

        Raises:
            ValueError: no place is free, or the address cannot be used.
        """
        until = self._clock.monotonic() + seconds
        places = {tee.target.to: place for place, tee in self._temporary.items()}
        place = places[to] if to in places else self._begin(to)
        tee, (sent, dropped) = self._temporary[place], self._sink.tee_counts()[place]
        tee.end = until
        return sent - tee.begun[0], dropped - tee.begun[1]

    def _begin(self, to: str) -> int:
        """Start a temporary tee; return its place.

        Raises:
            ValueError: no place is free, or the target cannot be used.
        """
        free = set(range(_CONFIGURED, limits.TEES_MOST)) - self._temporary.keys()
        if not free:
            raise ValueError(f"all {limits.TEES_TEMPORARY} temporary tees are in use: wait until one is over")
        place, target = min(free), Target(to, self._own, self._resolver)
        fresh = target.poll(self._clock.monotonic())
        if fresh is None:
            raise ValueError(target.trouble or "must be an address, not a name")
        target.use(fresh)
        self._temporary[place] = _TemporaryTee(target, self._sink.tee_counts()[place], inf)
        self._update_hotpath()
        return place

    def _end_expired(self, now: float) -> list[socket.socket]:
        """End the temporary tees that have expired; return their sockets, which the caller closes."""
        over = [place for place, tee in self._temporary.items() if tee.end <= now]
        ended = [self._temporary.pop(place).target.socket for place in over]
        return [sock for sock in ended if sock]

    # --- periodic check -----------------------------------------------------------------------------------------------

    async def run(self, loss_log: LossLog) -> None:
        """Check the targets periodically until cancelled."""
        while True:
            self.check(loss_log)
            await self._clock.sleep(self.until_next_check())

    def check(self, loss_log: LossLog) -> None:
        """End expired temporary tees, resolve and connect targets, warn of lost copies."""
        now = self._clock.monotonic()
        over = self._end_expired(now)
        self._refresh(self._all_targets(), stale=over, is_changed=bool(over))
        for target, (_, dropped) in zip(self._targets, self._sink.tee_counts(), strict=False):
            self._warn(target, dropped, loss_log)
        if not self._is_current:
            why, fix = "no descriptor is free", "raise LimitNOFILE; what changed is tried again every second"
            loss_log.warn("copies of tees go where they went before", code="RLY106", why=why, fix=fix)

    def _warn(self, target: Target, dropped: int, loss_log: LossLog) -> None:
        if target.is_resolving:
            return  # the lookup's result gives a better reason
        grown, target.seen_dropped = dropped - target.seen_dropped, dropped
        if (target.trouble or grown) and not loss_log.is_muted(_LOST, subject=target.to):
            loss_log.warn(
                _LOST,
                code="RLY106",
                subject=target.to,
                every=_SILENCE,
                tee=target.to,
                copies=dropped,
                why=target.trouble or "its address was not known yet, or the system took no more for it",
                fix="start a daemon there, or change `to` of this [[tee]]",
            )

    def until_next_check(self) -> float:
        """Return the seconds until something is to be done."""
        if any(target.is_resolving for target in self._all_targets()):
            return _SOON
        now = self._clock.monotonic()
        return min([_INTERVAL, *(max(0.0, tee.end - now) for tee in self._temporary.values())])

    def _refresh(self, targets: Iterable[Target], *, stale: list[socket.socket], is_changed: bool) -> None:
        """Check targets; pass changed sockets to the hot path, and only then close those it used before."""
        now = self._clock.monotonic()
        for target in targets:
            fresh = target.poll(now)
            before = target.use(fresh) if fresh else None
            if before:
                stale.append(before)
            is_changed = is_changed or fresh is not None
        if stale or is_changed or not self._is_current:
            self._update_hotpath()
        for sock in stale:
            sock.close()

    def _update_hotpath(self) -> None:
        fds = [target.fd for target in self._targets]
        if self._temporary:
            fds += [-1] * (limits.TEES_MOST - len(fds))
        for place, tee in self._temporary.items():
            fds[place] = tee.target.fd
        try:
            self._sink.tee(fds)
        except OSError:
            self._is_current = False
        else:
            self._is_current = True

    def close(self) -> None:
        """Stop all copies and close the sockets."""
        self._sink.tee([])
        for target in self._all_targets():
            if target.socket:
                target.socket.close()
        self._targets.clear()
        self._temporary.clear()
