"""Sends two points of value 1 to the cloud, with the transport, signature and encoder of a relay, for `check --online`.

One point has type 2 and one type 1, since an account may accept only one of them. A second check in the same minute
sends the same values, so the cloud stores one value for each (I8).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import msgspec

from relay.clock import SystemClock, read_http_date
from relay.daemon.build import make_encoder
from relay.daemon.cloud import make_cloud, make_transport, needed_credentials
from relay.delivery.sender.breaker import fix_for
from relay.delivery.sender.outcomes import SKEW_ALARM
from relay.errors import Problem, TransportError
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL
from relay.limits import WINDOW_SECONDS
from relay.model import (
    Batch,
    Delivered,
    Kind,
    Misconfigured,
    Refused,
    Rollup,
    Series,
    Throttled,
    Unavailable,
    Verdict,
)
from relay.naming.dimensions import choose, legal_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.clock import Clock
    from relay.config.schema import Config
    from relay.delivery.transport import HttpTransport, LineTransport
    from relay.jdcloud.cloud import JDCloud

_ONE: Final = Rollup(samples=1, count=1, sum=1, min=1, max=1, last=1)
_TYPES: Final = ((2, "check", "aggregate"), (1, "check.raw", "raw"))
"""Type of the point, its name behind the prefix of the relay's own metrics, and the output that has this type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAnswer:
    """What the cloud said to one point."""

    metric: str
    type: int
    verdict: Verdict
    seconds: float
    """From the first byte sent to the last byte of the answer."""
    clock_ahead: float | None
    """Seconds by which this clock is ahead of the cloud's, within half a second; None without an answer."""

    @property
    def is_accepted(self) -> bool:
        """Whether the cloud has stored the point."""
        return isinstance(self.verdict, Delivered) and not self.verdict.refusals

    @property
    def status(self) -> int | None:
        """The HTTP status; None without an answer."""
        return self.verdict.status

    @property
    def request_id(self) -> str:
        """The cloud's name of the request; "" if the answer had none."""
        return self.verdict.request_id if isinstance(self.verdict, (Delivered, Refused)) else ""

    @property
    def words(self) -> str:
        """The cloud's words, or why there was no answer; "" for an accepted point."""
        if isinstance(self.verdict, Delivered):
            return ", ".join(refusal.detail for refusal in self.verdict.refusals)
        return self.verdict.detail

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "metric": self.metric,
            "type": self.type,
            "accepted": self.is_accepted,
            "status": self.status,
            "words": self.words,
            "request_id": self.request_id,
            "seconds": round(self.seconds, 3),
            "clock_seconds_ahead": self.clock_ahead,
        }


async def send_canaries(config: Config) -> list[CanaryAnswer]:
    """Send both points at once; return the answers.

    Raises:
        ConfigError: there are no credentials, or a file cannot be used.
    """
    cloud, clock = make_cloud(config.cloud, needed_credentials(config.cloud)), SystemClock()
    transport = make_transport(config.cloud)
    await asyncio.to_thread(import_module, "relay.delivery.bounded_http")  # else the first request takes that long
    window = int(clock.wall()) // WINDOW_SECONDS * WINDOW_SECONDS

    async def send(type_: int, metric: str, output: str) -> CanaryAnswer:
        batch, began = make_batch(config, metric, output, window), clock.monotonic()
        verdict, ahead = await _post(batch, cloud, transport, clock)
        return CanaryAnswer(
            metric=metric, type=type_, verdict=verdict, seconds=clock.monotonic() - began, clock_ahead=ahead
        )

    try:
        named = [(type_, f"{config.telemetry.prefix}.{name}", output) for type_, name, output in _TYPES]
        return await asyncio.gather(*(send(*one) for one in named))
    finally:
        await transport.close()


def make_batch(config: Config, metric: str, output: str, window: int) -> Batch:
    """Return a request with one point of value 1, encoded as a relay with this output encodes a gauge."""
    cloud = msgspec.structs.replace(config.cloud, output=output)
    encoder = make_encoder(msgspec.structs.replace(config, cloud=cloud))
    series = Series(metric, choose({}, legal_pairs(config.tags.items())), Kind.GAUGE)
    [named] = encoder.values((series, _ONE), WINDOW_SECONDS)
    point = encoder.encode_point(series, named, window)
    return Batch(window=window, points=1, body=BODY_HEAD + point.body + BODY_TAIL)


async def _post(
    batch: Batch, cloud: JDCloud, transport: HttpTransport | LineTransport, clock: Clock
) -> tuple[Verdict, float | None]:
    """Send a request; return the verdict, and by how many seconds this clock is ahead of the cloud's."""
    try:
        reply = await transport.post(cloud.url, cloud.request_headers(batch.body, now=clock.wall()), batch.body)
    except TransportError as error:
        return Unavailable(detail=error.detail, cause=error.cause, ambiguous=error.ambiguous), None
    # The Date of an answer has whole seconds: on average half a second has passed since.
    now, date = clock.wall(), read_http_date(reply.headers.get("date", ""))
    return cloud.classify(reply, batch, now=now), round(now - date - 0.5, 1) if date is not None else None


def find_refusals(answers: Sequence[CanaryAnswer], config: Config) -> list[Problem]:
    """Return why points were not accepted, and whether this clock is wrong; each cause once.

    A refusal of the type that this configuration does not send is a warning.
    """
    used = {output: type_ for type_, _, output in _TYPES}[config.cloud.output]
    found = [_refusal(answer, is_used=answer.type == used) for answer in answers if not answer.is_accepted]
    ahead = next((answer.clock_ahead for answer in answers if answer.clock_ahead is not None), 0.0)
    if abs(ahead) > SKEW_ALARM:
        message = f"this clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the cloud's"
        fix = "synchronise the clock: timedatectl set-ntp true"
        found.append(Problem(code="RLY122", severity="warning", message=message, fix=fix))
    return list(dict.fromkeys(found))


def _refusal(answer: CanaryAnswer, *, is_used: bool) -> Problem:
    words = answer.words
    match answer.verdict:
        case Misconfigured(credentials=True):
            fix = "replace the key, or give it the permission for putMetricData; a wrong clock is refused as well"
            return Problem(code="RLY120", message=f"the cloud refuses the credentials: {words}", fix=fix)
        case Misconfigured():
            fix = "check [cloud] endpoint and region"
            return Problem(code="RLY404", message=f"the cloud refuses the request: {words}", fix=fix)
        case Throttled():
            fix = "check again in a minute: other senders use up the quota of this key"
            return Problem(code="RLY401", message=f"the cloud answers 429: {words}", fix=fix)
        case Unavailable():
            fix = "check the network, [cloud] endpoint and proxy"
            message = f"the cloud cannot be reached ({answer.verdict.cause}): {words}"
            return Problem(code="RLY405", message=message, fix=fix)
    message, fix = f"the cloud refuses points of type {answer.type}: {words}", fix_for(words) or "see the cloud's words"
    if not is_used:
        message = f"{message}; this configuration sends none"
    return Problem(code="RLY402", severity="error" if is_used else "warning", message=message, fix=fix)
