"""Signs requests with JDCLOUD2-HMAC-SHA256, which is AWS SigV4 with other names; JDCLOUD3 is optional.

Pure: the time and the nonce are arguments. Every attempt is signed anew, since a nonce may be used only once. Invariant
(I10): the secret key leaves this module only as a signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.types import Secret

_UNRESERVED = "-_.~"


class Signer:
    """State: the credentials; never shown."""

    def __init__(  # noqa: PLR0913 - the inputs of a signature
        self,
        *,
        access_key: str,
        secret_key: Secret,
        region: str,
        session_token: Secret | None = None,
        service: str = "monitor",
        version: str = "v2",
        token_encoding: str = "raw",  # noqa: S107 - not a secret
    ) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._session_token = session_token
        self._region = region
        self._service = service
        self._prefix = "JDCLOUD3" if version == "v3" else "JDCLOUD2"
        self._terminator = f"{self._prefix.lower()}_request"
        self._token_encoding = token_encoding

    def __repr__(self) -> str:
        """Report algorithm, service and region, never the credentials."""
        return f"<Signer {self._prefix} {self._service} {self._region}>"

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, now: float, nonce: str
    ) -> dict[str, str]:
        """Return the headers to send: the given ones, all signed, and those of the signature.

        Args:
            method: HTTP method in upper case.
            url: its path and query are signed; the host is signed as a header.
            headers: headers to sign, names in lower case; they must contain `host`.
            body: body as sent.
            now: wall time in seconds.
            nonce: unique per attempt.
        """
        date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {**headers, "x-jdcloud-date": date, "x-jdcloud-nonce": nonce, **self._token_header()}
        scope = f"{date[:8]}/{self._region}/{self._service}/{self._terminator}"
        canonical = canonical_request(method, url, signed, body)
        to_sign = "\n".join((self._algorithm, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        signature = hmac.new(self._key(date[:8]), to_sign.encode(), hashlib.sha256).hexdigest()
        authorization = (
            f"{self._algorithm} Credential={self._access_key}/{scope}, "
            f"SignedHeaders={';'.join(sorted(signed))}, Signature={signature}"
        )
        return {**signed, "x-jdcloud-algorithm": self._algorithm, "authorization": authorization}

    @property
    def _algorithm(self) -> str:
        return f"{self._prefix}-HMAC-SHA256"

    def _token_header(self) -> dict[str, str]:
        if not self._session_token:
            return {}
        token = self._session_token.reveal()
        if self._token_encoding == "base64":  # noqa: S105 - not a secret
            token = base64.b64encode(token.encode()).decode()
        return {"x-jdcloud-security-token": token}

    def _key(self, day: str) -> bytes:
        key = (self._prefix + self._secret_key.reveal()).encode()
        for part in (day, self._region, self._service, self._terminator):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def canonical_request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the canonical request; its hash is part of the text that is signed."""
    parts = urlsplit(url)
    query = "&".join(
        f"{quote(key, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}"
        for key, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    names = sorted(headers)
    return "\n".join(
        (
            method,
            quote(parts.path or "/", safe="/" + _UNRESERVED),
            query,
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
