"""A reload in process: read the configuration again, and apply what has changed when it may; a bad one changes nothing.

SIGHUP asks for it, and so does a file whose content has changed, if it is watched: editors, ConfigMaps and NFS agree on
nothing but content, and one that is still being written is not taken, since it must be the same twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from relay.config.toml_places import read_bytes
from relay.daemon.cloud import make_renewed_cloud, make_transport, needed_credentials
from relay.daemon.lifecycle.changes import at_once, compare
from relay.daemon.lifecycle.plan import load_for_run, make_plan
from relay.daemon.lifecycle.reconfiguration import Reconfiguration
from relay.daemon.log import configure_log
from relay.delivery.disk_thread import DiskThread
from relay.errors import ConfigError, Problem, RelayError

if TYPE_CHECKING:
    from pathlib import Path

    from relay.config.credentials import Credentials
    from relay.config.loading import Loaded
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.changes import Changes
    from relay.daemon.lifecycle.plan import RunOptions
    from relay.daemon.lifecycle.worker import Worker
    from relay.delivery.sender.pool import Transport

WATCH_SECONDS: Final = 2.0


class Prepared(NamedTuple):
    """What is on disk, ready to be used; the relay's configuration in force is what it was judged against."""

    before: Config
    loaded: Loaded
    changes: Changes
    credentials: Credentials | None
    """Of what is in force at once."""
    next_credentials: Credentials | None
    """From the next window on."""
    transport: Transport


class Reloader:
    """State: whether a reload is asked for, and whether none is done any more. What is in force is the relay's.

    Args:
        relay: what runs, the owner of the configuration in force.
        worker: this process.
        loaded: what the relay was made with.
        options: those of `run`.
    """

    def __init__(self, relay: Relay, worker: Worker, loaded: Loaded, options: RunOptions) -> None:
        self._relay = relay
        self._reconfiguration = Reconfiguration(relay)
        self._worker = worker
        self._path = loaded.path
        self._seen = fingerprint(loaded.text)
        """Of the content that was asked for last."""
        self._options = options
        self._asked = asyncio.Event()
        self._thread = DiskThread("configuration")
        self._is_over = False

    def __repr__(self) -> str:
        """Report the file."""
        return f"<Reloader {self._path or 'environment only'}>"

    def ask(self) -> None:
        """Reload soon; asking twice is asking once."""
        self._asked.set()

    async def close(self) -> None:
        """Let go of what has waited for the next window, and of the thread that reads."""
        self._thread.close()
        await self._reconfiguration.close()

    def stop(self) -> None:
        """Accept nothing more: what is asked for from now on is for the worker that comes next."""
        self._is_over = True

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._is_over:
                return
            self._worker.notifier.reloading()
            if await self._reload():
                self._worker.notifier.ready(self._relay.status.ready()[1])

    async def watch(self) -> None:
        """Ask whenever the file's content is another than what was asked for, until cancelled."""
        before = ""
        while self._path:
            await asyncio.sleep(WATCH_SECONDS)
            now = fingerprint(await self._thread.run(content_of, self._path))
            if now and now == before and now != self._seen and self._relay.config.config.watch:
                self._seen = now
                self.ask()
            before = now

    async def _reload(self) -> bool:
        """Reload; return whether it is decided, for better or worse, and not left to the worker that comes next."""
        try:
            prepared = await self._prepare()
            if self._is_over:
                return False
            self._accept(prepared)
            await self._apply(prepared)
        except RelayError as error:
            self._relay.status.is_last_reload_successful = False
            structlog.get_logger("relay").warning("RLY502 reload refused, nothing has changed", reason=error.brief())
        return True

    async def _prepare(self) -> Prepared:
        """Read what is on disk; once more if a window has begun meanwhile, since that changes what is in force."""
        while True:
            prepared = await self._thread.run(self._read)
            if prepared.before is self._relay.config:
                return prepared

    def _read(self) -> Prepared:
        before = self._relay.config
        loaded = load_for_run(self._path, dry_run=self._options.dry_run)
        changes = compare(before, loaded.config)
        self._refuse_what_cannot(changes)
        return Prepared(
            before=before,
            loaded=loaded,
            changes=changes,
            credentials=needed_credentials(at_once(before, loaded.config).cloud),
            next_credentials=needed_credentials(loaded.config.cloud),
            transport=make_transport(loaded.config.cloud),
        )

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

    def _accept(self, prepared: Prepared) -> None:
        """Let the supervisor have what a worker that comes next is to use."""
        plan = make_plan(prepared.loaded, take_over=self._options.take_over)
        try:
            self._worker.accept(plan.to_json(), is_rebinding=bool(prepared.changes.replacing))
        except OSError as error:
            message = f"the supervisor cannot be given the configuration: {error.strerror}"
            raise ConfigError(Problem(code="RLY502", message=message, fix="reload again")) from error

    async def _apply(self, prepared: Prepared) -> None:
        """Change what may change now, and leave the rest to the window's edge or to the worker that comes next."""
        before, loaded, changes, credentials, next_credentials, transport = prepared
        config = loaded.config
        if changes.replacing:
            # Until the next worker has taken over, or for good if the supervisor cannot open the addresses.
            self._relay.status.is_last_reload_successful = False
            await transport.close()
            return
        now = at_once(before, config)
        await self._reconfiguration.at_once(now, make_renewed_cloud(now.cloud, credentials))
        cloud = make_renewed_cloud(config.cloud, next_credentials)
        await self._reconfiguration.at_edge(config, cloud=cloud, transport=transport)
        self._relay.status.is_last_reload_successful = True
        changed = {"at_once": list(changes.at_once), "at_the_next_window": list(changes.at_edge)}
        structlog.get_logger("relay").info("reloaded", **changed)
        configure_log(config.log)


def content_of(path: Path) -> str | None:
    """Return a file's content; None if it cannot be read: a file that is being replaced is no change."""
    try:
        return read_bytes(path).decode("utf-8", "surrogateescape")
    except ConfigError:
        return None


def fingerprint(content: str | None) -> str:
    """Return a hash of a file's content; "" of none."""
    return "" if content is None else hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
