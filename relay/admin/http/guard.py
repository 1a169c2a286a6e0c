"""Access control of routes for this machine only: no remote client, no web page in a local browser, no local proxy.

A loopback peer address is not enough. A browser on this machine runs pages of any site, and a foreign domain may
resolve to 127.0.0.1 (DNS rebinding): so the Host header must name this machine or one of `[admin] hosts`, and an Origin
header must name this server. A proxy on this machine may pass on requests of remote clients: so a request with a header
that proxies add is refused.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::[0-9]{1,5})?")
"""A name or an address with an optional port; anything that parsers of the Host header may read differently fails."""
_FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "client-ip"})
_FORWARDED_PREFIXES: Final = ("x-forwarded", "x-original", "x-client-ip", "x-cluster-client-ip", "x-envoy-external")
"""Headers that proxies, ingresses and load balancers add to forwarded requests."""
HOSTS: Final = web.AppKey("hosts", frozenset[str])
"""`[admin] hosts`: host names that the Host header may have besides loopback; lower case, without a port."""


def local_only(handler: Handler) -> Handler:
    """Return a handler that answers 403 unless the request comes from this machine and is addressed to it.

    The application must have the key `HOSTS`.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        reason = reason_to_refuse(request)
        if reason:
            return web.Response(status=403, text=f"{reason}\n")
        return await handler(request)

    return guarded


def is_loopback(address: str) -> bool:
    """Return whether an address is a loopback address; IPv4 mapped to IPv6 counts."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def peer_address(transport: BaseTransport | None) -> str:
    """Return the address of a connection's peer; empty if the connection is gone."""
    peer = transport.get_extra_info("peername") if transport else None
    return str(peer[0]) if peer else ""


def reason_to_refuse(request: web.Request) -> str:
    """Return the rule that a request breaks; empty if it comes from this machine and is addressed to it."""
    if not is_loopback(peer_address(request.transport)):
        return "only from this machine"
    if any(map(_is_forwarding, request.headers)):
        return "only from this machine, and not through a proxy"
    host = request.headers.getall("Host", [])
    if len(host) != 1 or not _names_this_machine(host[0], request.app[HOSTS]):
        return "Host must be an address of this machine, or one of [admin] hosts"
    origin = request.headers.getall("Origin", [])
    if origin and origin not in ([f"http://{host[0]}"], [f"https://{host[0]}"]):
        return "not for pages of another origin"
    return ""


def _names_this_machine(host: str, allowed: frozenset[str]) -> bool:
    found = _HOST.fullmatch(host)
    name = (found["v6"] or found["name"]).lower() if found else ""
    return name == "localhost" or name in allowed or is_loopback(name)


def _is_forwarding(header: str) -> bool:
    name = header.lower()
    return name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES)
