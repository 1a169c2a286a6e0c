"""The sender pool: a fixed number of workers; each leases a batch, waits for its turn, posts, acts on the verdict.

Owned here: what is done about each verdict. Owned elsewhere: what an answer means (`Cloud.classify`), when a request
may leave (gate.py), which points are bad (bisect.py), and how points are counted (outcomes.py).

Attempts are not limited: a batch leaves by delivery, by conviction or by its age. An exception while a batch is sent,
caused for example by an answer or a credential, ends no worker: it is counted, and the batch is kept.

One worker at a time waits for a turn, so that the newest batch goes first even after a long pause. A batch that is not
next to be sent stays in the spool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from relay.delivery.dead_letters.format import metric_of
from relay.delivery.sender.bisect import PATIENCE, PATIENCE_STOPPED, BatchBisection
from relay.delivery.sender.gate import Gate, SenderSettings
from relay.delivery.sender.outcomes import Ages, Outcomes, VerdictReporter
from relay.delivery.sender.quarantine import Quarantine
from relay.delivery.sender.rate import backoff
from relay.delivery.sender.renewal import Renewal
from relay.errors import TransportError
from relay.model import Batch, Delivered, Refused, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relay.context import Context
    from relay.delivery.dead_letters.queue import DeadLetters
    from relay.delivery.sender.quarantine import Failures
    from relay.delivery.spool.lease import Lease
    from relay.delivery.spool.spool import Spool
    from relay.model import Batch, Reply, Verdict


# --- what the pool needs from other packages -------------------------------------------------------------------------


class Cloud(Protocol):
    """The API side of a request."""

    url: str

    def renew(self) -> bool:
        """Read the credentials again; return whether they changed. Blocks on the disk."""
        ...

    def request_headers(self, body: bytes, *, now: float) -> dict[str, str]:
        """Return the headers of one attempt."""
        ...

    def classify(self, reply: Reply, batch: Batch, *, now: float) -> Verdict:
        """Return what an answer means."""
        ...

    def points(self, batch: Batch) -> Sequence[bytes]:
        """Return the points of a batch, byte for byte."""
        ...

    def part(self, batch: Batch, indexes: Sequence[int]) -> Batch:
        """Return a batch of the points at `indexes`, byte for byte."""
        ...


class Transport(Protocol):
    """Posts requests over HTTP."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request; raise TransportError if there was no complete answer."""
        ...

    async def close(self) -> None:
        """Close the connections."""


_DRAIN_TICK: Final = 0.02
_HOLD_SECONDS: Final = 1.0
"""Longest wait while holding a lease. Before a longer one, and before any wait for a probe, the lease is put back: then
the newest batch is chosen when the wait is over."""
_LOOK: Final = 0.25
"""Polling interval in a long wait, in seconds: new settings, new credentials or a stop may end the wait early."""


class SenderPool:
    """State: the workers, the gate, the quarantine, and whether the pool finishes."""

    def __init__(  # noqa: PLR0913 - the pool joins the parts of delivery; it has one caller
        self,
        *,
        spool: Spool,
        cloud: Cloud,
        transport: Transport,
        settings: SenderSettings,
        dead_letters: DeadLetters,
        context: Context,
        random: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._cloud = cloud
        self._transport = transport
        self._settings = settings
        self._ledger, self._clock = context.ledger, context.clock
        self._random = random
        self._gate = Gate(settings)
        self._reporter = VerdictReporter(context)
        self._settlement = Outcomes(context, spool=spool, dead_letters=dead_letters)
        self._workers: list[asyncio.Task[None]] = []
        self._is_finishing = False
        self._carrying = 0
        """Workers with a batch that was sent, or is about to be."""
        self._in_line = asyncio.Lock()
        self._doubts = Quarantine()
        self._renewal = Renewal(reporter=self._reporter, clock=self._clock, random=random)
        self._ages = Ages(self._clock)

    def __repr__(self) -> str:
        """Report requests and points in flight."""
        return f"<SenderPool {self.requests_in_flight} requests, {self.in_flight} points in flight>"

    @property
    def in_flight(self) -> int:
        """Points of leased batches, which are not counted elsewhere yet."""
        return self._spool.leased

    @property
    def requests_in_flight(self) -> int:
        """Requests awaiting an answer."""
        return self._gate.in_flight

    @property
    def per_minute(self) -> float:
        """Requests a minute that may leave now."""
        return self._gate.rate.per_minute

    async def run(self) -> None:
        """Send until `drain` or `finish` ends the workers."""
        async with asyncio.TaskGroup() as group:
            self._workers = [
                group.create_task(self._work(), name=f"sender-{n}") for n in range(self._settings.concurrency)
            ]

    async def drain(self, *, until: float) -> None:
        """Send on, without spreading, until nothing waits or the monotonic time is `until`; then end the workers.

        A batch without an answer by then goes back to the spool and is sent after the next start.
        """
        self._gate.spread.stop()
        while (self._spool.points or self._spool.leased > self._doubts.points) and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def finish(self, *, until: float) -> None:
        """Send nothing new; await outstanding answers until monotonic `until` at most; then end the workers."""
        self._is_finishing = True
        while self._carrying and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def _end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._put_suspects_back()

    async def replace(
        self, *, cloud: Cloud | None = None, transport: Transport | None = None, settings: SenderSettings | None = None
    ) -> None:
        """Use another cloud, transport or settings from the next request on; the number of workers stays.

        Requests in flight end as they began, and then the old transport is closed. New settings reset the gate: the
        rate and the state of the breakers are forgotten.
        """
        old, self._transport = self._transport, transport or self._transport
        self._cloud = cloud or self._cloud
        if settings is not None:
            gate, self._settings = self._gate, settings
            self._gate = Gate(settings)
            self._gate.in_flight = gate.in_flight
            self._put_suspects_back()
        self._gate.retry_now(self._clock.monotonic())
        if old is not self._transport:
            await old.close()

    async def close(self) -> None:
        """End the credentials thread and close the connections."""
        self._renewal.close()
        await self._transport.close()

    # --- one worker ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._is_finishing:
            lease = await self._next()
            patience = PATIENCE_STOPPED if self._gate.systemic.stopped else PATIENCE
            await self._carry(lease, BatchBisection(lease.batch.points, patience=patience), leaves=True)
            while released := self._doubts.next_released():
                await self._carry(*released, leaves=False)

    async def _next(self) -> Lease:
        """Wait for a batch and for its turn, and take both."""
        async with self._in_line:
            while True:
                lease = await self._spool.take(live=self._gate.trying and not self._doubts.is_answered)
                try:
                    is_old = self._ages.is_old(lease.batch.window, self._settings.max_age)
                    if is_old:
                        await self._drop_old(lease)
                        continue
                    wait = await self._stand_in_line(lease) if is_old is False else _LOOK
                except BaseException:
                    self._spool.put_back(lease)
                    raise
                if not wait:
                    return lease
                self._spool.put_back(lease)
                await self._renewal.try_if_due(self._gate, self._cloud, minute=self._settings.minute)
                await self._clock.sleep(min(wait, _LOOK))

    async def _stand_in_line(self, lease: Lease) -> float:
        """Take a turn for the batch and return 0 if one comes soon; else return seconds until one may come."""
        while True:
            self._check_finish()
            now = self._clock.monotonic()
            waiting = self._spool.batches + 1
            wait = self._gate.wait_for_batch(now, window=lease.batch.window, waiting=waiting)
            if not wait:
                self._gate.leave(now, self._random(), batch=True)
            if not wait or wait > _HOLD_SECONDS or self._gate.trying:
                return wait
            await self._clock.sleep(wait)

    async def _carry(self, lease: Lease, trial: BatchBisection, *, leaves: bool) -> None:
        """Send a batch, or the parts that its bisection asks for.

        Args:
            lease: put back unless the batch is done or quarantined.
            trial: the batch's bisection.
            leaves: whether the turn for the first request is taken already.
        """
        self._carrying += 1
        try:
            kept = await self._send_or_keep(lease, trial, leaves=leaves)
        except BaseException:
            self._spool.put_back(lease)
            raise
        finally:
            self._carrying -= 1
        if kept:
            self._spool.put_back(lease)

    async def _send_or_keep(self, lease: Lease, trial: BatchBisection, *, leaves: bool) -> bool:
        """Send a batch; return whether the spool must keep it, which is true after any exception."""
        try:
            return await self._send(lease, trial, leaves=leaves)
        except Exception as error:  # noqa: BLE001 - an exception, caused by a peer or a file, ends no worker
            self._reporter.failed_inside(self._gate, error, dice=self._random())
        now = self._clock.monotonic()
        await self._back_off(self._doubts.failed(lease.entry.id, now, unreadable=False))
        return True

    async def _send(self, lease: Lease, trial: BatchBisection, *, leaves: bool) -> bool:
        """Send parts until every point is accepted or convicted; return whether the spool must keep the batch."""
        while not trial.finished:
            if not leaves:
                await self._wait_with_part()
            leaves = False
            part = trial.part()
            whole = len(part) == lease.batch.points
            verdict = await self._attempt(lease.batch, None if whole else part)
            if isinstance(verdict, (Delivered, Refused)):
                trial.answer(verdict)
            elif whole or not isinstance(verdict, Throttled):
                return await self._not_answered(lease, verdict)
            if trial.fruitless and not trial.insisting:
                if not self._doubts.refused_again(lease.entry.id, self._clock.monotonic()):
                    self._suspect(lease, trial)
                    return False
                trial.insist()
        if trial.accepted:
            self._accepted()
        attempts = trial.answers + self._doubts.forget(lease.entry.id)
        await self._settlement.settle(lease, trial, self._cloud, attempts=attempts)
        return False

    async def _wait_with_part(self) -> None:
        while wait := self._gate.wait(self._clock.monotonic()):
            self._check_finish()
            await self._clock.sleep(min(wait, _LOOK))
        self._check_finish()
        self._gate.leave(self._clock.monotonic(), self._random(), batch=False)

    def _check_finish(self) -> None:
        """End the worker if the pool finishes; its batch goes back to the spool."""
        if self._is_finishing:
            raise asyncio.CancelledError

    async def _attempt(self, batch: Batch, part: Sequence[int] | None) -> Verdict:
        """Post once: the same bytes, with a new signature. The turn has been taken.

        Args:
            batch: not changed.
            part: indexes of the points to send; None for all.
        """
        began = self._clock.monotonic()
        try:
            batch = batch if part is None else self._cloud.part(batch, part)
            headers = self._cloud.request_headers(batch.body, now=self._clock.wall())
            reply = await self._transport.post(self._cloud.url, headers, batch.body)
            self._ledger.requests[str(reply.status)] += 1
            self._reporter.watch_clock(reply, self._ages)
            verdict = self._cloud.classify(reply, batch, now=self._clock.wall())
        except TransportError as error:
            self._ledger.requests["error"] += 1
            verdict = Unavailable(detail=error.detail, ambiguous=error.ambiguous)
        finally:
            self._gate.in_flight -= 1
            self._ledger.request_seconds.observe(self._clock.monotonic() - began)
            self._ledger.request_bytes = len(batch.body)
        self._reporter.learn(self._gate, verdict, dice=self._random())
        return verdict

    # --- what is done about a batch -----------------------------------------------------------------------------------

    async def _drop_old(self, lease: Lease) -> None:
        """Drop a batch older than `max_age`, which the cloud would refuse."""
        detail = f"{(self._clock.wall() - lease.batch.window) / 86_400:.1f} days old, over cloud.max_age"
        await self._settlement.drop(lease, self._cloud, reason="too_old", detail=detail)

    async def _not_answered(self, lease: Lease, verdict: Verdict) -> bool:
        """Decide about a batch without a final verdict; return whether the spool must keep it."""
        if not isinstance(verdict, Unavailable):
            return True
        trouble = self._doubts.failed(lease.entry.id, self._clock.monotonic(), unreadable=verdict.unreadable)
        unanswered = verdict.ambiguous and (verdict.status is None or verdict.unreadable)
        if unanswered and self._settings.on_ambiguous == "drop":
            await self._settlement.drop(lease, self._cloud, reason="ambiguous", detail=verdict.detail)
        elif self._doubts.never_readable(trouble):
            reason = "unreadable_answer"
            await self._settlement.refuse(lease, self._cloud, reason=reason, detail=verdict.detail, http=verdict.status)
        else:
            await self._back_off(trouble)
            return True
        self._doubts.forget(lease.entry.id)
        return False

    async def _back_off(self, trouble: Failures) -> None:
        """Hold the lease for a backoff, so that no other worker sends the batch at once; an open breaker ends it."""
        ends = self._clock.monotonic() + backoff(trouble.failures, self._random()) * self._settings.minute / 60
        while not self._gate.breaker.is_open and (left := ends - self._clock.monotonic()) > 0:
            self._check_finish()
            await self._clock.sleep(min(left, _LOOK))

    def _accepted(self) -> None:
        """Note an accepted batch: quarantined ones are sent again if it ends a stop; else their points are bad."""
        now = self._clock.monotonic()
        self._doubts.note_accepted(now)
        if self._gate.systemic.accepted(now):
            self._reporter.resumed()
            self._put_suspects_back()
        else:
            self._doubts.release()

    def _suspect(self, lease: Lease, trial: BatchBisection) -> None:
        """Quarantine a fruitless batch; during a stop the next probe is another batch."""
        self._gate.systemic.fruitless(self._clock.monotonic())
        self._doubts.suspect(lease, trial)
        if self._gate.systemic.stopped:
            self._reporter.stopped(trial.detail, metric=metric_of(self._cloud.points(lease.batch)[0]))
            if self._doubts.many or not self._spool.can_send:
                self._put_suspects_back()

    def _put_suspects_back(self) -> None:
        for lease in self._doubts.give_back():
            self._spool.put_back(lease)
