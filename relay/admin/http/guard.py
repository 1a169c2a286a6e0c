"""Access control of the admin port: which client may read names, lines and settings, and which may change something.

Reading: a client on this machine, or one with the token. A loopback peer address alone does not prove a client on this
machine. A browser there runs pages of any site, and a foreign domain may resolve to 127.0.0.1 (DNS rebinding): so the
Host header must name this machine or one of `[admin] hosts`, and an Origin header must name this server. A proxy on
this machine may pass on requests of remote clients: so a request with a header that proxies add is refused.

Changing: `Authorization: Bearer TOKEN`, or the cookie of a link (sessions.py), from any address. A browser sends a
cookie with forms of pages on other ports of the same host too: so a POST with a cookie must have this server's Origin.
"""

from __future__ import annotations

import hmac
import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import structlog
from aiohttp import web

from relay.admin.http.sessions import Sessions

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Container, Iterable

    from relay.context import Context

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z._-]+))(?::[0-9]{1,5})?")
"""A name or an address with an optional port; anything that parsers of the Host header may read differently fails."""
_FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "client-ip"})
_FORWARDED_PREFIXES: Final = ("x-forwarded", "x-original", "x-client-ip", "x-cluster-client-ip", "x-envoy-external")
"""Headers that proxies, ingresses and load balancers add to forwarded requests."""
_BEARER: Final = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)
_WAYS: Final = (
    "ask from this machine; or with Authorization: Bearer TOKEN, the content of the relay's admin-token file; "
    "or open the link that `statsd-relay status --link` prints on the relay's machine"
)


class Refusal(NamedTuple):
    """Why a request is refused, and the ways in."""

    status: int
    message: str
    fix: str


class Guard:
    """State: the token, the links and cookies, and in the ledger the number of refused requests.

    Args:
        context: clock, ledger and log.
        hosts: host names that the Host header may have besides loopback, without a port (`[admin] hosts`).
        token: of changes; "": there is none, and nothing can be changed.
        place: file of the token; local clients are told.
    """

    def __init__(self, *, context: Context, hosts: Iterable[str] = (), token: str = "", place: str = "") -> None:
        self._context = context
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token.encode()
        self._place = place
        self.sessions = Sessions(context.clock)

    @property
    def has_token(self) -> bool:
        """Whether there is a token: without one, nothing can be changed."""
        return bool(self._token)

    def refusal(self, request: web.Request, *, changes: bool) -> Refusal | None:
        """Return why a request may not read, or may not change something; None if it may. A refusal is counted."""
        found = self._refuse_token(request) or (self._refuse_change if changes else self._refuse_reader)(request)
        if found:
            self._context.ledger.admin_refused += 1
        return found

    def may_read(self, request: web.Request) -> bool:
        """Return whether the client may see names, lines and settings."""
        return not self._refuse_reader(request)

    def may_change(self, request: web.Request) -> bool:
        """Return whether the client may change something."""
        return not self._refuse_change(request)

    def log(self, event: str, request: web.Request, **fields: object) -> None:
        """Log what a client did, with its address."""
        peer = peer_address(request.transport)
        structlog.get_logger("relay").info(event, peer=peer, by=self._credential(request) or "no token", **fields)

    def count_wrong_link(self, request: web.Request) -> None:
        """Count and log a link that is not good."""
        self._context.ledger.admin_refused += 1
        self._warn("wrong link", request)

    def _warn(self, why: str, request: web.Request) -> None:
        peer = peer_address(request.transport)
        self._context.loss_log.warn("admin token refused", subject=why, peer=peer, why=why)

    def _refuse_token(self, request: web.Request) -> Refusal | None:
        """Refuse a wrong token even where none is needed: the client should learn that it is wrong."""
        if not _bearer(request) or self._has_token(request):
            return None
        self._warn("wrong token", request)
        return Refusal(401, "the token is not that of this relay", self._ways_to_change(request))

    def _refuse_reader(self, request: web.Request) -> Refusal | None:
        reason = _foreign_origin(request) if self._credential(request) else reason_to_refuse(request, self._hosts)
        return Refusal(403, reason, _WAYS) if reason else None

    def _refuse_change(self, request: web.Request) -> Refusal | None:
        credential = self._credential(request)
        if credential == "link" and request.method == "POST" and not _origins(request):
            return Refusal(403, "a change with a cookie needs the Origin header of this page", _WAYS)
        if credential:
            reason = _foreign_origin(request)
            return Refusal(403, reason, _WAYS) if reason else None
        if not self._token:
            fix = "give the relay a state directory, or a file in [admin] token_file, and restart it"
            return Refusal(403, "this relay has no token, so the admin port changes nothing", fix)
        return Refusal(401, "a change needs the token of this relay", self._ways_to_change(request))

    def _ways_to_change(self, request: web.Request) -> str:
        return _WAYS if reason_to_refuse(request, self._hosts) else self._how_to_read()

    def _how_to_read(self) -> str:
        return f"run the command as root or as the relay's user, who may read {self._place or 'the token'}"

    def _credential(self, request: web.Request) -> Literal["", "token", "link"]:
        if self._has_token(request):
            return "token"
        return "link" if self.sessions.has_cookie(request.cookies.get(self.sessions.cookie_name, "")) else ""

    def _has_token(self, request: web.Request) -> bool:
        given = _bearer(request)
        return bool(given and self._token) and hmac.compare_digest(given, self._token)


GUARD: Final = web.AppKey("guard", Guard)


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


def reason_to_refuse(request: web.Request, hosts: Container[str] = ()) -> str:
    """Return the rule that a request breaks; "" if it comes from this machine and is addressed to it.

    Args:
        request: without a token.
        hosts: names that the Host header may have besides loopback; lower case, without a port.
    """
    if not is_loopback(peer_address(request.transport)):
        return "only from this machine"
    if any(map(_is_forwarding, request.headers)):
        return "only from this machine, and not through a proxy"
    host = request.headers.getall("Host", [])
    if len(host) != 1 or not _names_this_machine(host[0], hosts):
        return "Host must be an address of this machine, or one of [admin] hosts"
    return _foreign_origin(request)


def _foreign_origin(request: web.Request) -> str:
    origins, host = _origins(request), request.headers.get("Host", "")
    is_own = not origins or origins in ([f"http://{host}"], [f"https://{host}"])
    return "" if is_own and not _is_embedded(request) else "not for pages of another origin"


def _is_embedded(request: web.Request) -> bool:
    """Return whether a page of another site loads this as a part of it: an image or a frame sends no Origin."""
    is_foreign = request.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
    return is_foreign and not (request.path == "/" and request.headers.get("Sec-Fetch-Dest") == "document")


def _origins(request: web.Request) -> list[str]:
    return request.headers.getall("Origin", [])


def _bearer(request: web.Request) -> bytes:
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return found[1].encode("utf-8", "surrogateescape") if found else b""


def _names_this_machine(host: str, allowed: Container[str]) -> bool:
    found = _HOST.fullmatch(host)
    name = (found["v6"] or found["name"]).lower() if found else ""
    return name == "localhost" or name in allowed or is_loopback(name)


def _is_forwarding(header: str) -> bool:
    name = header.lower()
    return name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES)
