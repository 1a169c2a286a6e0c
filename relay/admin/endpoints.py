"""Everything that the admin port answers over HTTP: the probes, the API, the page.

It imports the HTTP libraries, so a start imports it in a thread (routes.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.admin.dead_letters import DeadLetters
from relay.admin.http.api.config import config_endpoints
from relay.admin.http.api.dead_letters import dead_letter_endpoints
from relay.admin.http.api.explain import explain_endpoints
from relay.admin.http.api.history import history_endpoints
from relay.admin.http.api.index import index_endpoints
from relay.admin.http.api.links import link_endpoints
from relay.admin.http.api.log import log_endpoints
from relay.admin.http.api.openapi import with_openapi
from relay.admin.http.api.rules import rule_endpoints
from relay.admin.http.api.senders import sender_endpoints
from relay.admin.http.api.series import series_endpoints
from relay.admin.http.api.status import status_endpoints
from relay.admin.http.api.tap import tap_endpoints
from relay.admin.http.api.tees import tee_endpoints
from relay.admin.http.api.windows import window_endpoints
from relay.admin.http.api.windows_last import last_window_endpoints
from relay.admin.http.probes import probe_endpoints
from relay.admin.page.routes import page_endpoints
from relay.admin.senders import SenderTable

if TYPE_CHECKING:
    from relay.admin.history import History
    from relay.admin.http.endpoint import Endpoint
    from relay.admin.protocols import Relay
    from relay.admin.subscribers import WindowSubscribers


def all_endpoints(relay: Relay, *, windows: WindowSubscribers, history: History) -> list[Endpoint[Any]]:
    """Return the endpoints of every feature.

    Args:
        relay: the running relay.
        windows: publishes closed windows to subscribers.
        history: the last hour in numbers.
    """
    senders = SenderTable.of(relay)
    letters = DeadLetters(relay, relay.state) if relay.state else None
    return with_openapi(
        [
            *probe_endpoints(relay),
            *index_endpoints(relay),
            *config_endpoints(relay),
            *status_endpoints(relay),
            *rule_endpoints(relay),
            *sender_endpoints(senders),
            *series_endpoints(relay),
            *tap_endpoints(relay),
            *tee_endpoints(relay.tees),
            *window_endpoints(windows, lambda: relay.closer.open_id),
            *last_window_endpoints(relay.context.ledger),
            *history_endpoints(relay, history),
            *dead_letter_endpoints(letters),
            *explain_endpoints(relay),
            *link_endpoints(),
            *log_endpoints(relay.log_ring),
            *page_endpoints(relay, history=history, letters=letters, senders=senders),
        ]
    )
