"""An admin port with given endpoints, and no relay behind it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from types import SimpleNamespace

from relay.admin.http.guard import Guard
from relay.admin.http.server import AdminServer
from relay.listener.addresses import Address
from relay.listener.admin_sockets import AdminSockets
from tests.support.context import make_context

TOKEN = "t0ken-of-the-admin-port"


def make_guard(*, context=None, hosts=(), token=TOKEN):
    return Guard(context=context or make_context(), hosts=hosts, token=token, place="/state/admin-token")


@asynccontextmanager
async def serving(endpoints, *, guard=None, relay=None):
    """Yield the bound address of a server with these endpoints."""
    status = SimpleNamespace(healthy=None, ready=None)
    admin = AdminServer(
        sockets=AdminSockets([Address("127.0.0.1", 0)]),
        relay=relay or SimpleNamespace(status=status),
        guard=guard or make_guard(),
        endpoints=endpoints,
    )
    await admin.start()
    try:
        yield admin.bound
    finally:
        await admin.stop()


async def fetch(address, path, *, body=None, method=None, headers=None):
    """Return status, headers and body of one request; a body of JSON is decoded."""
    url = f"http://{address[0]}:{address[1]}{path}"
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    return await asyncio.to_thread(_read, request)


def _read(request):
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read().decode()
    is_json = text and answer.headers.get_content_type() == "application/json"
    return answer.status, answer.headers, json.loads(text) if is_json else text
