"""The API side of a request, for the sender pool: where to, with which headers, and what the answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relay.jdcloud.classify import classify
from relay.jdcloud.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.jdcloud.sign import Signer
    from relay.model import Batch, Reply, Verdict


class JDCloud:
    """State: none; endpoint, signer and a source of nonces."""

    def __init__(self, *, endpoint: str, region: str, signer: Signer, nonce: Callable[[], str]) -> None:
        self.url = endpoint.replace("{region}", region)
        self._signer = signer
        self._nonce = nonce

    def __repr__(self) -> str:
        """Report the URL."""
        return f"<JDCloud {self.url}>"

    def request_headers(self, body: bytes, *, now: float) -> dict[str, str]:
        """Return the headers of one attempt, signed anew with its own nonce."""
        headers = {"content-type": "application/json", "host": host_header(self.url)}
        return self._signer.sign("POST", self.url, headers, body, now=now, nonce=self._nonce())

    def classify(self, reply: Reply, batch: Batch, *, now: float) -> Verdict:
        """Return what to do with the batch."""
        return classify(reply, batch, now=now)

    def points(self, batch: Batch) -> list[bytes]:
        """Return the points of a batch, each as it was encoded."""
        return [encode(point) for point in decode(batch.body)["metricDataList"]]


def host_header(url: str) -> str:
    """Return the host as it is signed: with the port, unless that is 80 or 443."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, 80, 443) else f"{host}:{parts.port}"
