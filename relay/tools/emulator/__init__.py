"""A local putMetricData: verifies signatures, enforces every limit, and fails in the ways of the service on demand.

The tests, `demo` and `statsd-relay cloud` use it. It keeps the stored points, so that a test can compare them exactly.
Of relay/jdcloud it uses only the signer and the JSON codec: its checks are written from the API document.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from relay.config.types import Secret
from relay.jdcloud.codec import decode, encode
from relay.jdcloud.sign import Signer
from relay.tools.emulator.answers import abort, abuse, failure, partial_failure
from relay.tools.emulator.check import MAX_BYTES, MAX_POINTS, check_point
from relay.tools.emulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.clock import Clock

__all__ = ["Emulator", "Fault"]

PATH: Final = "/v1/customMetrics"
KEPT: Final = 1_000_000
"""Points kept for inspection; the oldest are discarded, which bounds the memory of a long run."""
_CLOCK_DIFFERENCE: Final = 900.0
_ADDED_BY_SIGNING: Final = {"x-jdcloud-date", "x-jdcloud-nonce"}

Point = dict[str, Any]


class Emulator:
    """State: the points stored, the requests seen, and the faults to inject."""

    def __init__(
        self,
        *,
        access_key: str,
        secret_key: str,
        region: str,
        clock: Clock,
        check_signature: bool = True,
        latency: float = 0.0,
    ) -> None:
        self._access_key = access_key
        self._region = region
        self._signer = Signer(access_key=access_key, secret_key=Secret(secret_key), region=region)
        self._clock = clock
        self._check_signature = check_signature
        self._random = random.Random(0)  # noqa: S311 - repeatable faults
        self._faults: list[Fault] = []
        self._nonces: deque[str] = deque(maxlen=10_000)
        self._runner: web.AppRunner | None = None
        self._hanging = asyncio.Event()
        self.latency = latency
        """Seconds before each answer."""
        self.shape = 1
        """Format of partial failures, 1 to 4 (answers.py)."""
        self.quota: Callable[[float], float] | None = None
        """Returns for a monotonic time how long a request must wait: 0, or the seconds in the answer 429."""
        self.poison: set[str] = set()
        """Metrics: a request with one of them is refused as a whole, without a list of bad points."""
        self.unreadable: set[str] = set()
        """Metrics: a request with one of them is stored, but its answer is not JSON."""
        self.redirect_to = "http://127.0.0.1:1/"
        self.clock_ahead = 0.0
        """Seconds that the Date header of answers is ahead of the clock."""
        self.requests = 0
        """Requests received, with any outcome."""
        self.statuses: Counter[int] = Counter()
        self.received: deque[Point] = deque(maxlen=KEPT)
        """Points stored, oldest first."""
        self.on_stored: Callable[[Point], None] = lambda _: None
        """Called with each point that is stored."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Start to listen; return the base URL.

        Raises:
            OSError: the address cannot be bound.
        """
        app = web.Application(client_max_size=4 * MAX_BYTES)
        app.router.add_post(PATH, self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        return f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Close every connection."""
        self._hanging.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def add_fault(self, fault: Fault) -> None:
        """Inject a fault from the next request on."""
        self._faults.append(fault)

    # --- what arrived -------------------------------------------------------------------------------------------------

    def points(self, metric: str, **dimensions: str) -> list[Point]:
        """Return the stored points of a metric that have these dimensions."""
        wanted = dimensions.items()
        return [point for point in self.received if point["metric"] == metric and wanted <= point["dimensions"].items()]

    def total(self, metric: str, stat: str = "sum", **dimensions: str) -> float:
        """Return one statistic summed over a metric's points; `last`: of the newest. A raw point has only `value`."""
        points = sorted(self.points(metric, **dimensions), key=lambda point: int(point["timestamp"]))
        found = [point["values"][stat if stat in point["values"] else "value"] for point in points]
        return float(sum(found[-1:] if stat == "last" else found))

    # --- answering ----------------------------------------------------------------------------------------------------

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        request_id = f"emulator-{self.requests}"
        body = await request.read()
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.quota and (wait := self.quota(self._clock.monotonic())):
            headers = {"retry-after": f"{math.ceil(wait)}"}
            return self._answer(429, failure(429, "QUOTA", "over the quota", request_id), headers)
        fault = next((fault for fault in self._faults if fault.strikes(self._random.random())), None)
        kind = fault.kind if fault else ""
        if fault is not None and kind.isdigit():
            answer = failure(int(kind), "EMULATED", f"emulated {kind}", request_id)
            return self._answer(int(kind), answer, fault.headers)
        if kind == "redirect":
            return self._answer(302, "", {"location": self.redirect_to})
        if kind in ("reset", "hang"):
            return await self._vanish(request, kind)
        status, answer = self._judge(request, body, request_id, spoil=kind)
        if self.unreadable and self.unreadable & {point.get("metric") for point in decode(body)["metricDataList"]}:
            kind = "garbage"
        return await abuse(kind, request, encode(answer)) or self._answer(status, answer)

    def _answer(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> web.Response:  # noqa: ANN401
        self.statuses[status] += 1
        date = format_datetime(datetime.fromtimestamp(self._clock.wall() + self.clock_ahead, UTC), usegmt=True)
        return web.Response(
            status=status,
            body=encode(answer),
            content_type="application/json",
            headers={"date": date, **(headers or {})},
        )

    async def _vanish(self, request: web.Request, kind: str) -> web.StreamResponse:
        if kind == "hang":
            await self._hanging.wait()
        abort(request)
        return web.Response(status=500)

    def _judge(self, request: web.Request, body: bytes, request_id: str, *, spoil: str) -> tuple[int, Any]:
        reason = self._check_signed(request, body) if self._check_signature else ""
        if reason:
            return 401, failure(401, "ACCESS_ERROR", reason, request_id)
        if len(body) > MAX_BYTES:
            return 413, failure(413, "TOO_LARGE", f"{len(body)} bytes, at most {MAX_BYTES}", request_id)
        try:
            points = decode(body)["metricDataList"]
        except (ValueError, KeyError, TypeError):
            return 400, failure(400, "INVALID_ARGUMENT", "no metricDataList", request_id)
        if not isinstance(points, list) or not 1 <= len(points) <= MAX_POINTS:
            return 400, failure(400, "INVALID_ARGUMENT", f"a request holds 1 to {MAX_POINTS} points", request_id)
        if self.poison and any(point.get("metric") in self.poison for point in points if isinstance(point, dict)):
            return 400, failure(400, "INVALID_ARGUMENT", "something is wrong with some point", request_id)
        return self._store(points, request_id, spoil=spoil)

    def _store(self, points: list[Point], request_id: str, *, spoil: str) -> tuple[int, Any]:
        now = self._clock.wall()
        bad: list[tuple[Point, str]] = []
        for index, point in enumerate(points):
            spoiled = spoil == "refused" or (spoil == "partial" and index == 0)
            detail = "emulated refusal" if spoiled else check_point(point, now)
            if detail:
                bad.append((point, detail))
            else:
                self.received.append(point)
                self.on_stored(point)
        if bad:
            return partial_failure(self.shape, bad, request_id)
        return 200, {"requestId": request_id, "result": {"success": True}}

    # --- signatures ---------------------------------------------------------------------------------------------------

    def _check_signed(self, request: web.Request, body: bytes) -> str:
        """Return the error in a signature; "" if it is valid and its nonce is new."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        authorization = headers.get("authorization", "")
        names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        nonce, date = headers.get("x-jdcloud-nonce", ""), headers.get("x-jdcloud-date", "")
        if not {"content-type", "host", "x-jdcloud-date", "x-jdcloud-nonce"} <= set(names) <= headers.keys():
            return "signature does not cover content-type, host, date and nonce"
        try:
            moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return "x-jdcloud-date is not a date"
        if abs(moment - self._clock.wall()) > _CLOCK_DIFFERENCE:
            return f"the clock differs by {moment - self._clock.wall():.0f} s"
        signed = {name: headers[name] for name in names if name not in _ADDED_BY_SIGNING}
        expected = self._signer.sign(request.method, request.raw_path, signed, body, now=moment, nonce=nonce)
        if expected["authorization"] != authorization:
            return "the signature does not match"
        if nonce in self._nonces:
            return "the nonce was used before"
        self._nonces.append(nonce)
        return ""
