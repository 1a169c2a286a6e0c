"""The sender pool: a fixed number of workers; each leases a batch, waits for its turn, posts, acts on the verdict.

Owned here: what is done about each verdict. Owned elsewhere: what an answer means (`Cloud.classify`), when a request
may be sent (gate.py), which points are bad (bisect.py), and how points are counted (outcomes.py).

Attempts are not limited: a batch is tried until it is delivered, refused or too old. An exception while a batch is
sent, caused for example by an answer or a credential, ends no worker: it is counted, and the batch is kept.

One worker at a time waits for a turn, so that the newest batch goes first even after a long pause. A batch that is not
next to be sent stays in the spool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from relay.delivery.dead_letters.format import metric_of
from relay.delivery.disk_thread import DiskThread
from relay.delivery.sender.bisect import MAX_ATTEMPTS, MAX_ATTEMPTS_OPEN, BatchBisection
from relay.delivery.sender.gate import Gate, SenderSettings
from relay.delivery.sender.outcomes import Ages, Outcomes, VerdictReporter
from relay.delivery.sender.quarantine import Quarantine
from relay.delivery.sender.rate import backoff
from relay.errors import TransportError
from relay.model import Batch, Delivered, Refused, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relay.clock import Clock
    from relay.context import Context
    from relay.delivery.dead_letters.buffer import DeadLetters
    from relay.delivery.request_history import RequestHistory
    from relay.delivery.sender.gate import DeliveryState
    from relay.delivery.sender.quarantine import Failures
    from relay.delivery.spool.order import Lease
    from relay.delivery.spool.spool import Spool
    from relay.model import Reply


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
_RENEWAL_SHARE: Final = 1 / 12
"""Interval between two reads of the credential files, as a share of a minute."""
_RENEWAL_WAIT: Final = 2.0
"""Seconds for which a sender waits for one read; a read from a hanging disk goes on in its thread."""
_LEASE_WAIT: Final = 1.0
"""Longest wait while holding a lease. Before a longer one, and before any wait for a probe, the lease is put back: then
the newest batch is chosen when the wait is over."""
_POLL: Final = 0.25
"""Polling interval in a long wait, in seconds: new settings, new credentials or a stop may end the wait early."""


class CredentialRenewal:
    """Reads the credential files again while the cloud refuses the credentials: a rotation needs no reload.

    State: when to read again, and the read that is not finished.
    """

    def __init__(self, *, reporter: VerdictReporter, clock: Clock, random: Callable[[], float]) -> None:
        self._reporter = reporter
        self._clock = clock
        self._random = random
        self._due_at = 0.0
        self._thread = DiskThread("credentials")
        self._reading: asyncio.Task[bool] | None = None

    async def try_if_due(self, gate: Gate, cloud: Cloud, *, minute: float) -> None:
        """Read the credentials if it is time; after an exception those in force stay."""
        now = self._clock.monotonic()
        if not gate.credentials_refused or now < self._due_at:
            return
        self._due_at = now + minute * _RENEWAL_SHARE
        self._reading = self._reading or asyncio.create_task(self._thread.run(cloud.renew), name="credentials")
        if not (await asyncio.wait([self._reading], timeout=_RENEWAL_WAIT))[0]:
            return
        reading, self._reading = self._reading, None
        try:
            is_renewed = reading.result()
        except Exception as error:  # noqa: BLE001 - an exception, caused by the content of a file, ends no worker
            self._reporter.report_exception(gate, error, jitter=self._random())
            return
        if is_renewed:
            self._reporter.report_renewal()
            gate.retry_now(self._clock.monotonic())

    def close(self) -> None:
        """End the thread without waiting for it, as its disk may hang."""
        self._thread.close()


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
        history: RequestHistory,
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
        self.last_answer = self._reporter.last_answer
        self._outcomes = Outcomes(
            context, spool=spool, dead_letters=dead_letters, history=history, last_answer=self.last_answer
        )
        self._workers: list[asyncio.Task[None]] = []
        self._is_finishing = False
        self._delivering = 0
        """Workers with a batch that was sent, or is about to be."""
        self._turn_lock = asyncio.Lock()
        self._quarantine = Quarantine()
        self._renewal = CredentialRenewal(reporter=self._reporter, clock=self._clock, random=random)
        self._ages = Ages(self._clock)

    @property
    def in_flight(self) -> int:
        """Points of leased batches, which are not counted elsewhere yet."""
        return self._spool.leased

    @property
    def requests_in_flight(self) -> int:
        """Requests awaiting an answer."""
        return self._gate.in_flight

    @property
    def delivery_state(self) -> DeliveryState:
        """Whether requests are sent, or why not."""
        return self._gate.state

    @property
    def url(self) -> str:
        """The URL to which requests are posted."""
        return self._cloud.url

    @property
    def per_minute(self) -> float:
        """Requests a minute that may be sent now."""
        return self._gate.rate.per_minute

    async def run(self) -> None:
        """Send until `drain` or `finish` ends the workers."""
        async with asyncio.TaskGroup() as group:
            self._workers = [
                group.create_task(self._work(), name=f"sender-{n}") for n in range(self._settings.concurrency)
            ]

    async def drain(self, *, until: float) -> None:
        """Send without spreading until no batch waits or the monotonic time is `until`; then end the workers.

        A batch without an answer by then goes back to the spool and is sent after the next start.
        """
        self._gate.stagger.stop()
        while (self._spool.points or self._spool.leased > self._quarantine.points) and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def finish(self, *, until: float) -> None:
        """Lease no more batches; await outstanding answers until monotonic `until` at most; then end the workers."""
        self._is_finishing = True
        while self._delivering and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def _end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._return_quarantined()

    async def replace(
        self, *, cloud: Cloud | None = None, transport: Transport | None = None, settings: SenderSettings | None = None
    ) -> None:
        """Use another cloud, transport or settings from the next request on; the number of workers stays.

        Requests in flight end as they began, and then the old transport is closed. New settings reset the gate: the
        rate and the breakers start anew.
        """
        old, self._transport = self._transport, transport or self._transport
        self._cloud = cloud or self._cloud
        if settings is not None:
            gate, self._settings = self._gate, settings
            self._gate = Gate(settings)
            self._gate.in_flight = gate.in_flight
            self._return_quarantined()
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
            lease = await self._lease_next()
            max_attempts = MAX_ATTEMPTS_OPEN if self._gate.refusal_breaker.is_open else MAX_ATTEMPTS
            await self._deliver(lease, BatchBisection(lease.batch.points, max_attempts=max_attempts), has_turn=True)
            while released := self._quarantine.pop_released():
                await self._deliver(*released, has_turn=False)

    async def _lease_next(self) -> Lease:
        """Lease a batch and acquire a turn for it, when both are there."""
        async with self._turn_lock:
            while True:
                lease = await self._spool.lease(live=self._gate.is_probing and not self._quarantine.is_answered)
                try:
                    is_old = self._ages.is_old(lease.batch.window, self._settings.max_age)
                    if is_old:
                        await self._drop_old(lease)
                        continue
                    wait = await self._acquire_turn(lease) if is_old is False else _POLL
                except BaseException:
                    self._spool.put_back(lease)
                    raise
                if not wait:
                    return lease
                self._spool.put_back(lease)
                await self._renewal.try_if_due(self._gate, self._cloud, minute=self._settings.minute)
                await self._clock.sleep(min(wait, _POLL))

    async def _acquire_turn(self, lease: Lease) -> float:
        """Acquire a turn for the batch and return 0 if one comes soon; else return seconds until one may come."""
        while True:
            self._check_finish()
            now = self._clock.monotonic()
            waiting = self._spool.batches + 1
            wait = self._gate.wait_for_batch(now, window=lease.batch.window, waiting=waiting)
            if not wait:
                self._gate.acquire(now, self._random(), batch=True)
            if not wait or wait > _LEASE_WAIT or self._gate.is_probing:
                return wait
            await self._clock.sleep(wait)

    async def _deliver(self, lease: Lease, bisection: BatchBisection, *, has_turn: bool) -> None:
        """Send a batch, or the parts that its bisection asks for.

        Args:
            lease: put back unless the batch is done or quarantined.
            bisection: of the batch.
            has_turn: whether the turn for the first request is acquired already.
        """
        self._delivering += 1
        try:
            kept = await self._try_to_send(lease, bisection, has_turn=has_turn)
        except BaseException:
            self._spool.put_back(lease)
            raise
        finally:
            self._delivering -= 1
        if kept:
            self._spool.put_back(lease)

    async def _try_to_send(self, lease: Lease, bisection: BatchBisection, *, has_turn: bool) -> bool:
        """Send a batch; return whether the spool must keep it, which is true after any exception."""
        try:
            return await self._send(lease, bisection, has_turn=has_turn)
        except Exception as error:  # noqa: BLE001 - an exception, caused by a peer or a file, ends no worker
            self._reporter.report_exception(self._gate, error, jitter=self._random())
        now = self._clock.monotonic()
        await self._back_off(self._quarantine.failed(lease.entry.id, now, unreadable=False))
        return True

    async def _send(self, lease: Lease, bisection: BatchBisection, *, has_turn: bool) -> bool:
        """Send parts until every point is accepted or refused; return whether the spool must keep the batch."""
        while not bisection.finished:
            if not has_turn:
                await self._acquire_part_turn()
            has_turn = False
            part = bisection.part()
            whole = len(part) == lease.batch.points
            verdict = await self._attempt(lease.batch, None if whole else part)
            if isinstance(verdict, (Delivered, Refused)):
                bisection.answer(verdict)
            elif whole or not isinstance(verdict, Throttled):
                return await self._not_answered(lease, verdict)
            if bisection.all_refused and not bisection.forced:
                if not self._quarantine.record_refusal(lease.entry.id, self._clock.monotonic()):
                    self._put_in_quarantine(lease, bisection)
                    return False
                bisection.force()
        if bisection.accepted:
            self._after_acceptance()
        attempts = bisection.answers + self._quarantine.remove(lease.entry.id)
        await self._outcomes.record(lease, bisection, self._cloud, attempts=attempts)
        return False

    async def _acquire_part_turn(self) -> None:
        while wait := self._gate.wait(self._clock.monotonic()):
            self._check_finish()
            await self._clock.sleep(min(wait, _POLL))
        self._check_finish()
        self._gate.acquire(self._clock.monotonic(), self._random(), batch=False)

    def _check_finish(self) -> None:
        """End the worker if the pool finishes; its batch goes back to the spool."""
        if self._is_finishing:
            raise asyncio.CancelledError

    async def _attempt(self, batch: Batch, part: Sequence[int] | None) -> Verdict:
        """Post once: the same bytes, with a new signature. The turn is acquired already.

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
            self._ledger.windows.answered(batch.window, self._clock.wall())
            self._reporter.compare_clock(reply, self._ages)
            verdict = self._cloud.classify(reply, batch, now=self._clock.wall())
        except TransportError as error:
            self._ledger.requests["error"] += 1
            verdict = Unavailable(detail=error.detail, cause=error.cause, ambiguous=error.ambiguous)
        finally:
            self._gate.in_flight -= 1
            self._ledger.request_seconds.observe(self._clock.monotonic() - began)
            self._ledger.request_bytes = len(batch.body)
        self._reporter.report(self._gate, verdict, jitter=self._random())
        return verdict

    # --- what is done about a batch -----------------------------------------------------------------------------------

    async def _drop_old(self, lease: Lease) -> None:
        """Drop a batch older than `max_age`, which the cloud would refuse."""
        detail = f"{(self._clock.wall() - lease.batch.window) / 86_400:.1f} days old, over cloud.max_age"
        await self._outcomes.drop(lease, self._cloud, reason="too_old", detail=detail)

    async def _not_answered(self, lease: Lease, verdict: Verdict) -> bool:
        """Decide about a batch without a final verdict; return whether the spool must keep it."""
        if not isinstance(verdict, Unavailable):
            return True
        failures = self._quarantine.failed(lease.entry.id, self._clock.monotonic(), unreadable=verdict.unreadable)
        unanswered = verdict.ambiguous and (verdict.status is None or verdict.unreadable)
        if unanswered and self._settings.on_ambiguous == "drop":
            await self._outcomes.drop(lease, self._cloud, reason="ambiguous", detail=verdict.detail)
        elif self._quarantine.is_never_readable(failures):
            reason = "unreadable_answer"
            await self._outcomes.refuse(lease, self._cloud, reason=reason, detail=verdict.detail, http=verdict.status)
        else:
            await self._back_off(failures)
            return True
        self._quarantine.remove(lease.entry.id)
        return False

    async def _back_off(self, failures: Failures) -> None:
        """Hold the lease for a backoff, so that no other worker sends the batch; an open breaker ends the wait."""
        ends = self._clock.monotonic() + backoff(failures.count, self._random()) * self._settings.minute / 60
        while not self._gate.breaker.is_open and (left := ends - self._clock.monotonic()) > 0:
            self._check_finish()
            await self._clock.sleep(min(left, _POLL))

    def _after_acceptance(self) -> None:
        """Send quarantined batches again if this acceptance closes the refusal breaker; else bisect them to the end."""
        now = self._clock.monotonic()
        self._quarantine.record_accepted(now)
        if self._gate.refusal_breaker.accepted(now):
            self._reporter.report_acceptance()
            self._return_quarantined()
        else:
            self._quarantine.release()

    def _put_in_quarantine(self, lease: Lease, bisection: BatchBisection) -> None:
        """Quarantine a wholly refused batch; with the refusal breaker open, the next probe is another batch."""
        self._gate.refusal_breaker.all_refused(self._clock.monotonic())
        self._quarantine.add(lease, bisection)
        if self._gate.refusal_breaker.is_open:
            self._reporter.report_refusals(bisection.detail, metric=metric_of(self._cloud.points(lease.batch)[0]))
            if self._quarantine.is_full or not self._spool.can_send:
                self._return_quarantined()

    def _return_quarantined(self) -> None:
        for lease in self._quarantine.pop_all():
            self._spool.put_back(lease)
