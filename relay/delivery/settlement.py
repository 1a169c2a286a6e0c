"""Where points leave the spool: delivered, refused or dropped, in one step without an await (I5).

What goes to the dead letters is written first; a letter is a copy, so a disk that takes none costs only the copy. If
the process dies between the two, the batch is sent again and a letter may be there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay.delivery.letters import metric_of
from relay.delivery.systemic import fix_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.clock import Clock
    from relay.delivery.dead_letters import DeadLetters
    from relay.delivery.lease import Lease
    from relay.delivery.spool import Spool
    from relay.delivery.trial import Trial
    from relay.model import Batch
    from relay.telemetry import Ledger, LossLog


class Points(Protocol):
    """Reads a batch."""

    def points(self, batch: Batch) -> Sequence[bytes]:
        """The points of a batch, byte for byte."""
        ...


class Settlement:
    """State: none; the ledger's, the spool's and the dead letters' points are moved here."""

    def __init__(
        self, *, spool: Spool, dead_letters: DeadLetters, ledger: Ledger, loss_log: LossLog, clock: Clock
    ) -> None:
        self._spool = spool
        self._dead_letters = dead_letters
        self._ledger = ledger
        self._loss_log = loss_log
        self._clock = clock

    def __repr__(self) -> str:
        """Report the ledger."""
        return f"<Settlement {self._ledger!r}>"

    async def settle(self, lease: Lease, trial: Trial, points: Points, *, attempts: int) -> None:
        """Count the points that a finished trial accepted and convicted; the batch is done."""
        if trial.convicted:
            await self._bury_convicted(lease, trial, points, attempts)
        ledger = self._ledger
        ledger.points_delivered += trial.accepted
        ledger.points_refused += len(trial.convicted)
        if trial.accepted:
            ledger.delivery_lag = max(0.0, self._clock.wall() - lease.batch.window)
        self._spool.done(lease)

    async def refuse(self, lease: Lease, points: Points, *, reason: str, detail: str, http: int | None) -> None:
        """Give a whole batch up because of what the cloud answers; the batch is done."""
        await self._bury_all(lease, points, reason=reason, detail=detail, http=http)
        self._ledger.points_refused += lease.batch.points
        self._spool.done(lease)

    async def drop(self, lease: Lease, points: Points, *, reason: str, detail: str) -> None:
        """Give a whole batch up by our own decision; the batch is done."""
        await self._bury_all(lease, points, reason=reason, detail=detail, http=None)
        self._ledger.points_dropped[reason] += lease.batch.points
        self._spool.done(lease)

    async def _bury_convicted(self, lease: Lease, trial: Trial, points: Points, attempts: int) -> None:
        bodies = points.points(lease.batch)
        letters: dict[str, list[tuple[bytes, str]]] = {}
        for conviction in trial.convicted:
            whole = len(trial.convicted) == lease.batch.points
            reason = "too_large" if conviction.too_large else "refused_request" if whole else "refused_point"
            letters.setdefault(reason, []).append((bodies[conviction.index], conviction.detail))
        for reason, bad in letters.items():
            self._warn("RLY402 points refused", bad, reason=reason, request_id=trial.request_id)
            await self._write(
                bad, lease, reason=reason, request_id=trial.request_id, http=trial.status, attempts=attempts
            )

    async def _bury_all(self, lease: Lease, points: Points, *, reason: str, detail: str, http: int | None) -> None:
        letters = [(body, detail) for body in points.points(lease.batch)]
        self._warn("points given up", letters, reason=reason)
        await self._write(letters, lease, reason=reason, request_id="", http=http, attempts=1)

    async def _write(
        self,
        letters: Sequence[tuple[bytes, str]],
        lease: Lease,
        *,
        reason: str,
        request_id: str,
        http: int | None,
        attempts: int,
    ) -> None:
        await self._dead_letters.write(
            letters, window=lease.batch.window, reason=reason, request_id=request_id, http=http, attempts=attempts
        )

    def _warn(self, event: str, letters: Sequence[tuple[bytes, str]], *, reason: str, request_id: str = "") -> None:
        """Tell of points that are given up: how many, and of the first its metric and why, in the cloud's words."""
        body, detail = letters[0]
        fix = fix_for(detail) or "`statsd-relay dead list` has them all"
        known = {"request_id": request_id} if request_id else {}
        self._loss_log.warn(
            event, reason=reason, metric=metric_of(body), detail=detail, points=len(letters), fix=fix, **known
        )
