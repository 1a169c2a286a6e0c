"""The access key as people are shown it: its masked id, its place, and when a replaced one is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay.config.credentials import short_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.credentials import Credentials
    from relay.config.schema import CloudConfig

_VARIABLES: Final = ("JDCLOUD_ACCESS_KEY_ID_FILE", "JDCLOUD_ACCESS_KEY_FILE")
_AT_ONCE: Final = "it is read every 5 s"


class AccessKey(NamedTuple):
    """An access key in words."""

    masked: str = ""
    """JDC_..4F2A."""
    place: str = ""
    """The file, variable or profile that has it."""
    reload: str = ""
    """When a replaced key is in force."""


def describe_key(cloud: CloudConfig, credentials: Credentials | None, environ: Mapping[str, str]) -> AccessKey:
    """Return where the key in force comes from; empty texts without credentials."""
    if credentials is None:
        return AccessKey()
    return AccessKey(short_id(credentials.access_key), *_place(cloud, credentials.origin, environ))


def _place(cloud: CloudConfig, origin: str, environ: Mapping[str, str]) -> tuple[str, str]:
    if origin == "configuration":
        path = cloud.access_key_file or cloud.secret_key_file
        return (path, _AT_ONCE) if path else ("[cloud] access_key and secret_key", "then: statsd-relay reload")
    if origin == "environment":
        path = next(filter(None, map(environ.get, _VARIABLES)), "")
        return (path, _AT_ONCE) if path else ("the relay's environment (JDCLOUD_ACCESS_KEY_ID)", "then restart it")
    return origin, _AT_ONCE
