"""`JDCloud`: what the sender pool knows of the API: the URL, the headers of a request, the verdict on an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relay.jdcloud.classify import classify
from relay.jdcloud.codec import split
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL
from relay.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.jdcloud.sign import Signer
    from relay.model import Reply, Verdict


class JDCloud:
    """State: the signer in force."""

    def __init__(
        self,
        *,
        endpoint: str,
        region: str,
        signer: Signer,
        nonce: Callable[[], str],
        newer_signer: Callable[[], Signer | None] = lambda: None,
    ) -> None:
        """Combine endpoint, signer and nonces.

        Args:
            endpoint: URL; `{region}` in it is replaced.
            region: region of the endpoint.
            signer: signer of the first requests.
            nonce: returns a new nonce at each call.
            newer_signer: reads the credentials again; returns None if they are unchanged. May block on a disk.
        """
        self.url = endpoint.replace("{region}", region)
        self._signer = signer
        self._nonce = nonce
        self._newer_signer = newer_signer

    def renew(self) -> bool:
        """Read the credentials again; return whether they changed. May block on a disk: call it in a thread."""
        signer = self._newer_signer()
        if signer is None:
            return False
        self._signer = signer
        return True

    def request_headers(self, body: bytes, *, now: float) -> dict[str, str]:
        """Return the headers of one attempt; every attempt has its own nonce and signature."""
        headers = {"content-type": "application/json", "host": host_header(self.url)}
        return self._signer.sign("POST", self.url, headers, body, now=now, nonce=self._nonce())

    def classify(self, reply: Reply, batch: Batch, *, now: float) -> Verdict:
        """Return the verdict on the batch."""
        return classify(reply, batch, now=now)

    def points(self, batch: Batch) -> list[bytes]:
        """Return the points of a batch, with exactly the bytes of its body."""
        return split(batch.body)

    def part(self, batch: Batch, indexes: Sequence[int]) -> Batch:
        """Return a batch with some points of another, with exactly their bytes."""
        points = split(batch.body)
        body = BODY_HEAD + b",".join(points[index] for index in indexes) + BODY_TAIL
        return Batch(window=batch.window, points=len(indexes), body=body)


def host_header(url: str) -> str:
    """Return the Host header, which is signed: with the port unless it is 80 or 443."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, 80, 443) else f"{host}:{parts.port}"
