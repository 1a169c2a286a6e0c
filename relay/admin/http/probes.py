"""`/-/healthy`, `/-/ready` and `/metrics`: for every client that reaches the port; bounded, codes and numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from relay.admin.http.endpoint import Access, Endpoint, NoParameters
from relay.admin.http.guard import GUARD
from relay.admin.http.metrics import Scrapes, make_registry
from relay.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relay.admin.protocols import Relay

    Handler = Callable[[web.Request, NoParameters], Awaitable[web.Response]]

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class ReadyParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `/-/ready`."""

    deep: bool = False
    """Whether a problem makes the relay not ready, such as a cloud that accepts nothing."""


def probe_endpoints(relay: Relay) -> list[Endpoint[Any]]:
    """Return the endpoints of service managers, load balancers and Prometheus."""
    scrapes = Scrapes(make_registry(relay))

    async def metrics(_: web.Request, __: NoParameters) -> web.Response:
        return web.Response(body=scrapes.text(), headers={"content-type": _PROMETHEUS})

    async def ready(request: web.Request, parameters: ReadyParameters) -> web.Response:
        is_ready, sentence = relay.status.ready()
        worst = next(iter(relay.health.findings), None)
        if is_ready and parameters.deep and worst and worst.level == "problem":
            is_ready, shown = False, request.app[GUARD].may_read(request)
            sentence = f"{worst.code} {worst.sentence if shown else CODES[worst.code]}"
        return web.Response(status=200 if is_ready else 503, text=f"{sentence}\n")

    return [
        _open("/-/healthy", "Liveness.", _probe(relay.status.healthy)),
        Endpoint(
            path="/-/ready",
            summary="Readiness; with deep=1 also whether data flows. For probes that restart, leave deep out.",
            handle=ready,
            parameters=ReadyParameters,
            access=Access.OPEN,
            allows_head=True,
        ),
        _open("/metrics", "The relay's own metrics.", metrics),
    ]


def _open(path: str, summary: str, handle: Handler) -> Endpoint[NoParameters]:
    return Endpoint(
        path=path,
        summary=summary,
        handle=handle,
        parameters=NoParameters,
        access=Access.OPEN,
        allows_head=True,
    )


def _probe(check: Callable[[], tuple[bool, str]]) -> Handler:
    async def probe(_: web.Request, __: NoParameters) -> web.Response:
        is_well, sentence = check()
        return web.Response(status=200 if is_well else 503, text=f"{sentence}\n")

    return probe
