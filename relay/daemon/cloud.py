"""The connection to the cloud, made from the section [cloud]: credentials, signer and transport.

Not known here: when requests are sent, and what answers mean.
"""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from relay.config.credentials import Credentials, find_credentials, placeholder_credentials
from relay.config.types import Secret
from relay.delivery.state.directory import home_directory
from relay.delivery.transport import FileTransport, HttpTransport, LineTransport
from relay.errors import ConfigError, Problem
from relay.jdcloud.cloud import JDCloud
from relay.jdcloud.sign import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.config.loading import Loaded
    from relay.config.schema import CloudConfig


def needed_credentials(cloud: CloudConfig) -> Credentials | None:
    """Find the credentials; None if requests go to a file or to stdout.

    Raises:
        ConfigError: RLY110, no credentials were found.
    """
    return find_credentials(cloud, os.environ, home_directory()) if cloud.provider == "jdcloud" else None


def make_cloud(
    cloud: CloudConfig,
    credentials: Credentials | None,
    *,
    on_renewed: Callable[[Credentials], object] = lambda _: None,
) -> JDCloud:
    """Make the API side. Refused credentials are read again from their sources.

    Args:
        cloud: the section of the configuration.
        credentials: sign the requests; None (dry run): a dummy key signs, and nothing leaves the process.
        on_renewed: called in a thread with the credentials that replace them.
    """
    found = credentials or Credentials(
        access_key="dry-run", secret_key=Secret("dry-run"), region="dry-run", origin="none"
    )
    return JDCloud(
        endpoint=cloud.endpoint,
        region=found.region,
        signer=make_signer(cloud, found),
        nonce=lambda: str(uuid.uuid4()),
        newer_signer=NewerSigner(cloud, found, on_renewed),
    )


def make_signer(cloud: CloudConfig, found: Credentials) -> Signer:
    """Make the signer of requests."""
    return Signer(
        access_key=found.access_key,
        secret_key=found.secret_key,
        session_token=found.session_token,
        region=cloud.signature_region or found.region,
        version=cloud.signature,
        token_encoding=cloud.token_encoding,
    )


class NewerSigner:
    """State: the credentials in force, and the error that was logged last.

    A call reads the credentials again and returns a signer if they have changed.
    """

    def __init__(
        self, cloud: CloudConfig, credentials: Credentials, on_renewed: Callable[[Credentials], object]
    ) -> None:
        self._cloud = cloud
        self._in_force = credentials
        self._on_renewed = on_renewed
        self._logged = ""

    def __call__(self) -> Signer | None:
        """Return a signer for changed credentials; None if they are unchanged or unusable, which is logged once."""
        try:
            found = needed_credentials(self._cloud)
        except ConfigError as error:
            reason = error.brief()
            if reason != self._logged:
                event = "other credentials cannot be used, those in force go on"
                structlog.get_logger("relay").warning(event, code="RLY103", why=reason)
            self._logged = reason
            return None
        self._logged = ""
        if found is None or found.signs_like(self._in_force):
            return None
        self._in_force = found
        self._on_renewed(found)
        return make_signer(self._cloud, found)


def make_transport(cloud: CloudConfig, *, is_trusted: bool = False) -> HttpTransport | LineTransport:
    """Make the transport: HTTP, stdout or a file; for `is_trusted` see `prepare`.

    Raises:
        ConfigError: RLY103, a needed file cannot be used.
    """
    try:
        return _open_transport(cloud, is_trusted=is_trusted)
    except OSError as error:
        path, key = (cloud.file, "cloud.file") if cloud.provider == "file" else (cloud.ca_file, "cloud.ca_file")
        problem = Problem(
            code="RLY103", message=f"{key}: cannot use {path}: {error.strerror or error}", fix="check the path", key=key
        )
        raise ConfigError(problem) from error


def _open_transport(cloud: CloudConfig, *, is_trusted: bool) -> HttpTransport | LineTransport:
    if cloud.provider == "stdout":
        return LineTransport(sys.stdout.fileno())
    if cloud.provider == "file":
        return FileTransport(cloud.file, is_lazy=is_trusted)
    return HttpTransport(
        timeout=cloud.timeout,
        connect_timeout=cloud.connect_timeout,
        concurrency=cloud.concurrency,
        ca_file=cloud.ca_file,
        proxy=cloud.proxy,
        is_lazy=is_trusted,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A usable configuration with its credentials and its transport."""

    loaded: Loaded
    credentials: Credentials | None
    transport: HttpTransport | LineTransport


def prepare(loaded: Loaded, *, is_trusted: bool = False) -> Prepared:
    """Find the credentials and the files that a configuration needs.

    Args:
        loaded: the configuration.
        is_trusted: the configuration was checked before and is in force. Then missing credentials and unusable files
            are no error: requests wait until they can be sent.

    Raises:
        ConfigError: there are no credentials, or a file cannot be used.
    """
    cloud = loaded.config.cloud
    try:
        credentials = needed_credentials(cloud)
    except ConfigError as error:
        if not is_trusted:
            raise
        credentials = placeholder_credentials(cloud, os.environ, error)
    return Prepared(loaded=loaded, credentials=credentials, transport=make_transport(cloud, is_trusted=is_trusted))
