"""Rules of [cloud] for values that become part of a header, a signature, a URL or a path.

A value that breaks a rule would fail at every request, so it is refused at the start. No message repeats a value, since
any of them may be or hold a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from relay.config import secret_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.config.schema import CloudConfig, Config

_REGION: Final = re.compile(r"[0-9A-Za-z._-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
REGION_RULE: Final = "must be letters, digits, dots, underscores and dashes, such as cn-north-1"


def is_region(text: str) -> bool:
    """Say whether a text can be part of a host name and of the credential scope of a signature."""
    return _REGION.fullmatch(text) is not None


def _credential(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "" if secret_files.is_legal(read(config.cloud)) else secret_files.RULE


def _region(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "" if is_region(read(config.cloud)) else REGION_RULE


def _path(read: Callable[[CloudConfig], str]) -> Callable[[Config], str]:
    return lambda config: "must be without control characters" if _CONTROL.search(read(config.cloud)) else ""


def _proxy(config: Config) -> str:
    proxy, rule = config.cloud.proxy, "must be a URL such as http://HOST:PORT, with or without user and password"
    try:
        parts = urlsplit(proxy)
        has_place = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return rule
    return "" if not proxy or (has_place and secret_files.is_legal(proxy)) else rule


RULES: Final[dict[str, Callable[[Config], str]]] = {
    "cloud.access_key": _credential(lambda cloud: cloud.access_key),
    "cloud.secret_key": _credential(lambda cloud: cloud.secret_key.reveal()),
    "cloud.session_token": _credential(lambda cloud: cloud.session_token.reveal()),
    "cloud.access_key_file": _path(lambda cloud: cloud.access_key_file),
    "cloud.secret_key_file": _path(lambda cloud: cloud.secret_key_file),
    "cloud.session_token_file": _path(lambda cloud: cloud.session_token_file),
    "cloud.ca_file": _path(lambda cloud: cloud.ca_file),
    "cloud.file": _path(lambda cloud: cloud.file),
    "cloud.profile": _path(lambda cloud: cloud.profile),
    "cloud.region": _region(lambda cloud: cloud.region),
    "cloud.signature_region": _region(lambda cloud: cloud.signature_region),
    "cloud.proxy": _proxy,
}
