"""The sender pool: a fixed number of workers; each leases a batch, waits for its turn, posts, acts on the verdict.

Owned here: what is done about each verdict, and nothing about what an answer means (`Cloud.classify` says that). The
points of a lease are moved in the ledger and the spool in one step without an await, so the equation of points holds in
any snapshot (I5). There is no limit on attempts: a batch leaves by delivery or by refusal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from relay.delivery.retry import backoff, wait_for_person
from relay.errors import TransportError
from relay.model import Batch, Delivered, Misconfigured, Refused, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relay.clock import Clock
    from relay.delivery.dead_letters import DeadLetters
    from relay.delivery.rate import TokenBucket
    from relay.delivery.spool import Lease, Spool
    from relay.telemetry import Ledger, LossLog

_DRAIN_TICK = 0.02


class Cloud(Protocol):
    """The API side of a request."""

    url: str

    def request_headers(self, body: bytes, *, now: float) -> dict[str, str]:
        """Headers of one attempt."""
        ...

    def classify(self, reply: Reply, batch: Batch, *, now: float) -> Verdict:
        """What an answer means."""
        ...

    def points(self, batch: Batch) -> Sequence[bytes]:
        """The points of a batch, each as it was encoded."""
        ...


class Transport(Protocol):
    """The way out."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request; a TransportError says that there was no complete answer."""
        ...

    async def close(self) -> None:
        """Release connections."""


class SenderPool:
    """State: the workers, a common pause, and how often the last answers in a row were throttled."""

    def __init__(  # noqa: PLR0913 - the pool joins what delivery consists of; app.py is the only caller
        self,
        *,
        spool: Spool,
        cloud: Cloud,
        transport: Transport,
        bucket: TokenBucket,
        dead_letters: DeadLetters,
        ledger: Ledger,
        loss_log: LossLog,
        clock: Clock,
        random: Callable[[], float],
        concurrency: int,
    ) -> None:
        self._spool = spool
        self._cloud = cloud
        self._transport = transport
        self._bucket = bucket
        self._dead_letters = dead_letters
        self._ledger = ledger
        self._loss_log = loss_log
        self._clock = clock
        self._random = random
        self._concurrency = concurrency
        self._workers: list[asyncio.Task[None]] = []
        self._paused_until = 0.0
        self._throttled = 0
        self._is_finishing = False
        self._sending = 0
        self.requests_in_flight = 0

    def __repr__(self) -> str:
        """Report what is on its way."""
        return f"<SenderPool {self.requests_in_flight} requests, {self.in_flight} points in flight>"

    @property
    def in_flight(self) -> int:
        """Points leased and not yet accounted for."""
        return self._spool.leased

    async def run(self) -> None:
        """Send until `drain` ends it."""
        async with asyncio.TaskGroup() as group:
            self._workers = [group.create_task(self._work(), name=f"sender-{n}") for n in range(self._concurrency)]

    async def drain(self, *, until: float) -> None:
        """Go on until nothing waits or the monotonic clock says `until`; then end the workers.

        A request that is cut off here goes back to the spool, to be sent after the next start.
        """
        while (self._spool.points or self._spool.leased) and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def replace(self, *, cloud: Cloud | None = None, transport: Transport | None = None) -> None:
        """Send differently from the next request on; what is on its way ends as it began."""
        self._cloud = cloud or self._cloud
        self._transport = transport or self._transport

    async def finish(self, *, until: float) -> None:
        """Send nothing new; wait for the answers to what was sent, until the monotonic clock says `until`; then end."""
        self._is_finishing = True
        while self._sending and self._clock.monotonic() < until:
            await self._clock.sleep(_DRAIN_TICK)
        await self._end()

    async def _end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    # --- one worker ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        failures = 0
        while not self._is_finishing:
            lease = await self._spool.take()
            try:
                await self._wait_for_turn()
                verdict, settled = await self._send(lease)
            except BaseException:
                self._spool.put_back(lease)
                raise
            if settled:
                failures = 0
                continue
            self._spool.put_back(lease)
            if isinstance(verdict, Unavailable):
                failures += 1
                await self._clock.sleep(backoff(failures, self._random()))

    async def _send(self, lease: Lease) -> tuple[Verdict, bool]:
        """Post once and act on the answer; a pool that finishes waits for that, and begins no more."""
        if self._is_finishing:
            raise asyncio.CancelledError
        self._sending += 1
        try:
            verdict = await self._attempt(lease.batch)
            return verdict, await self._settle(lease, verdict)
        finally:
            self._sending -= 1

    async def _wait_for_turn(self) -> None:
        """Wait for a token, and for the end of a pause, which may be prolonged meanwhile."""
        await self._clock.sleep(self._bucket.take(self._clock.monotonic()))
        while (pause := self._paused_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(pause)

    async def _attempt(self, batch: Batch) -> Verdict:
        """Post once, signed anew, the same bytes."""
        headers = self._cloud.request_headers(batch.body, now=self._clock.wall())
        began = self._clock.monotonic()
        self.requests_in_flight += 1
        try:
            reply = await self._transport.post(self._cloud.url, headers, batch.body)
            self._ledger.requests[str(reply.status)] += 1
            return self._cloud.classify(reply, batch, now=self._clock.wall())
        except TransportError as error:
            self._ledger.requests["error"] += 1
            return Unavailable(detail=error.detail, ambiguous=error.ambiguous)
        finally:
            self.requests_in_flight -= 1
            self._ledger.request_seconds.observe(self._clock.monotonic() - began)

    # --- what to do about a verdict -----------------------------------------------------------------------------------

    async def _settle(self, lease: Lease, verdict: Verdict) -> bool:
        """Act on a verdict; return whether every point of the lease is accounted for."""
        match verdict:
            case Delivered():
                await self._deliver(lease, verdict)
                return True
            case Refused():
                await self._refuse(lease, verdict)
                return True
            case Throttled():
                self._throttle(verdict)
            case Unavailable():
                self._ledger.requests_ambiguous += verdict.ambiguous
                self._loss_log.warn("request failed, it goes again", reason="unavailable", detail=verdict.detail)
            case Misconfigured():
                self._wait_for_person(verdict)
        return False

    async def _deliver(self, lease: Lease, verdict: Delivered) -> None:
        refused = len(verdict.refusals)
        if refused:
            points = self._cloud.points(lease.batch)
            bad = [(points[refusal.index], refusal.detail) for refusal in verdict.refusals]
            await self._bury(lease, bad, verdict.request_id)
        self._throttled = 0
        ledger, now = self._ledger, self._clock.wall()
        ledger.points_delivered += lease.batch.points - refused
        ledger.points_refused += refused
        ledger.last_delivery = now
        ledger.delivery_lag = max(0.0, now - lease.batch.window)
        self._spool.done(lease)

    async def _refuse(self, lease: Lease, verdict: Refused) -> None:
        bad = [(point, verdict.detail) for point in self._cloud.points(lease.batch)]
        await self._bury(lease, bad, verdict.request_id)
        self._ledger.points_refused += lease.batch.points
        self._spool.done(lease)

    async def _bury(self, lease: Lease, bad: Sequence[tuple[bytes, str]], request_id: str) -> None:
        self._loss_log.warn(
            "RLY402 points refused", reason="refused", detail=bad[0][1], points=len(bad), request_id=request_id
        )
        await self._dead_letters.write(bad, window=lease.batch.window, request_id=request_id)

    def _throttle(self, verdict: Throttled) -> None:
        """Everybody waits: the quota belongs to the access key, not to a connection."""
        self._throttled += 1
        asked = verdict.retry_after
        pause = backoff(self._throttled, 0.5 + self._random() / 2) if asked is None else asked
        self._pause(pause)
        self._loss_log.warn(
            "RLY401 quota exceeded, senders pause", reason="429", seconds=round(pause, 1), detail=verdict.detail
        )

    def _wait_for_person(self, verdict: Misconfigured) -> None:
        self._pause(wait_for_person(self._random()))
        code = "RLY120 credentials refused" if verdict.credentials else "RLY404 the cloud refuses requests"
        self._loss_log.warn(f"{code}, everything is kept", reason=str(verdict.status), detail=verdict.detail)

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
