"""A reload in process: read the configuration again, and apply what has changed when it may; a bad one changes nothing.

SIGHUP asks for it, and so does a file whose content has changed, if it is watched: editors, ConfigMaps and NFS agree on
nothing but content, and one that is still being written is not taken, since it must be the same twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

import structlog

from relay.cli.plan import load_for_run
from relay.cli.run import make_cloud, make_transport, needed_credentials
from relay.cli.witness import configure_log
from relay.config.changes import compare
from relay.errors import ConfigError, Problem, RelayError
from relay.notify import REBIND

if TYPE_CHECKING:
    from pathlib import Path

    from relay.app import Relay
    from relay.config.changes import Changes
    from relay.config.credentials import Credentials
    from relay.config.loading import Loaded
    from relay.config.schema import Config
    from relay.jdcloud.cloud import JDCloud
    from relay.worker import Worker

WATCH_SECONDS: Final = 2.0


class Reloader:
    """State: the configuration in force as it was loaded, and whether a reload is asked for or runs."""

    def __init__(self, relay: Relay, worker: Worker, path: Path | None, *, dry_run: bool) -> None:
        self._relay = relay
        self._worker = worker
        self._path = path
        self._dry_run = dry_run
        self._config = relay.config
        self._asked = asyncio.Event()

    def __repr__(self) -> str:
        """Report the file."""
        return f"<Reloader {self._path or 'environment only'}>"

    def ask(self) -> None:
        """Reload soon; asking twice is asking once."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._worker.notifier.reloading()
            await self._reload()
            self._worker.notifier.ready(self._relay.status.ready()[1])

    async def watch(self) -> None:
        """Ask whenever the file's content has changed, until cancelled."""
        in_force = seen = await asyncio.to_thread(fingerprint, self._path)
        while self._path:
            await asyncio.sleep(WATCH_SECONDS)
            now = await asyncio.to_thread(fingerprint, self._path)
            if now and now == seen and now != in_force and self._config.config.watch:
                in_force = now
                self.ask()
            seen = now

    async def _reload(self) -> None:
        try:
            loaded, credentials = await asyncio.to_thread(self._load)
            changes = compare(self._config, loaded.config)
            self._refuse_what_cannot(changes)
            await self._apply(loaded, credentials, changes)
        except RelayError as error:
            self._relay.status.is_last_reload_successful = False
            structlog.get_logger("relay").warning("RLY502 reload refused, nothing has changed", reason=error.brief())

    def _load(self) -> tuple[Loaded, Credentials | None]:
        loaded = load_for_run(self._path, dry_run=self._dry_run)
        return loaded, needed_credentials(loaded.config.cloud)

    def _make_cloud(self, config: Config, credentials: Credentials | None) -> JDCloud:
        return make_cloud(config.cloud, credentials, find=lambda: needed_credentials(config.cloud))

    def _refuse_what_cannot(self, changes: Changes) -> None:
        """Raise if the reload cannot be done as a whole.

        Raises:
            ConfigError: RLY502, and why.
        """
        if changes.refused:
            keys = ", ".join(changes.refused)
            raise ConfigError(Problem(code="RLY502", message=f"only a restart changes {keys}", fix="restart"))
        if changes.replacing and not self._worker.supervisor:
            keys = ", ".join(changes.replacing)
            raise ConfigError(Problem(code="RLY502", message=f"{keys}: the sockets are given, not opened here"))

    async def _apply(self, loaded: Loaded, credentials: Credentials | None, changes: Changes) -> None:
        """Change what may change now, and leave the rest to the window's edge or to the worker that comes next."""
        config = loaded.config
        if changes.replacing:
            # Until the next worker has taken over, or for good if the supervisor cannot open the addresses.
            self._relay.status.is_last_reload_successful = False
            self._worker.notifier.send(REBIND)
            return
        at_edge = any(key.startswith("cloud.") for key in changes.at_edge)
        transport = make_transport(config.cloud) if at_edge else None
        await self._relay.replace_cloud(self._make_cloud(self._config, credentials))
        if changes.at_edge:
            cloud = self._make_cloud(config, credentials) if at_edge else None
            await self._relay.reconfigure(config, cloud=cloud, transport=transport)
        self._config = config
        self._relay.status.is_last_reload_successful = True
        self._worker.proven.write(loaded.text)
        changed = {"at_once": list(changes.at_once), "at_the_next_window": list(changes.at_edge)}
        structlog.get_logger("relay").info("reloaded", **changed)
        configure_log(config.log)


def fingerprint(path: Path | None) -> str:
    """Return a hash of a file's content; "" if it cannot be read: a file that is being replaced is no change."""
    if path is None:
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
