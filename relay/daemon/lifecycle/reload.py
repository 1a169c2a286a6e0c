"""A reload in process: read the configuration again, and apply each change when it may be; a bad file changes nothing.

SIGHUP or a changed content of a watched file asks for a reload. Only content is compared, as editors, ConfigMaps and
NFS treat names and times differently. It must be equal in two reads: a half-written file is not loaded.

The relay owns the configuration in force, and a new one is always compared with that. So a second reload before the
next window replaces the first, and includes its changes if they are still in the file. changes.py says when
a key may change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from relay.config.toml.places import read_bytes
from relay.daemon.build import ingest_settings, make_rules
from relay.daemon.cloud import make_transport, needed_credentials
from relay.daemon.lifecycle.changes import at_once, compare
from relay.daemon.lifecycle.in_force import fingerprint
from relay.daemon.lifecycle.plan import load_for_run, make_plan
from relay.daemon.log import configure_log
from relay.delivery.disk_thread import DiskThread
from relay.errors import ConfigError, ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from pathlib import Path

    from relay.config.credentials import Credentials
    from relay.config.loading import Loaded
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.changes import Changes
    from relay.daemon.lifecycle.in_force import ConfigInForce
    from relay.daemon.lifecycle.plan import RunOptions
    from relay.daemon.lifecycle.worker import Worker
    from relay.delivery.sender.pool import Transport
    from relay.window.protocols import Pipeline

WATCH_SECONDS: Final = 2.0


class PreparedReload(NamedTuple):
    """The configuration on disk, ready to be applied."""

    before: Config
    """The configuration in force, with which it was compared."""
    loaded: Loaded
    changes: Changes
    credentials: Credentials | None
    """Credentials in force at once."""
    next_credentials: Credentials | None
    """Credentials from the next window on."""
    transport: Transport


class ReloadOutcome(NamedTuple):
    """A reload that was accepted."""

    generation: int
    before: Config
    after: Config
    changes: Changes


class Reconfiguration:
    """State: the transport of a scheduled configuration, until the next window begins."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: Transport | None = None

    async def apply_now(self, config: Config, credentials: Credentials | None) -> None:
        """Use other credentials from the next request on; `config` differs only in keys that may change at once."""
        self._relay.config = config
        await self._relay.pool.replace(cloud=self._relay.use_credentials(config, credentials))

    async def schedule(
        self,
        config: Config,
        *,
        credentials: Credentials | None,
        transport: Transport,
        source: ConfigInForce | None = None,
    ) -> None:
        """Put another configuration in force when the next window begins.

        Args:
            config: differs from the one in force only in keys that may change at the next window (changes.py).
            credentials: those of `config`.
            transport: the transport of `config`; closed here or by the relay.
            source: of `config`; None: the present one.
        """
        settings, rules = ingest_settings(config), await asyncio.to_thread(make_rules, config)
        superseded, self._transport = self._transport, transport

        def begin() -> Pipeline:
            self._transport = None
            self._relay.in_force = source or self._relay.in_force
            return self._relay.reconfigure(config, settings, rules=rules, credentials=credentials, transport=transport)

        self._relay.closer.schedule_change(begin if compare(self._relay.config, config) else None)
        if superseded is not None:
            await superseded.close()

    async def close(self) -> None:
        """Close the transport that waits for the next window: the relay ends before it."""
        if self._transport is not None:
            await self._transport.close()


class Reloader:
    """State: whether a reload is requested, and whether reloads have ended. The relay owns the configuration in force.

    Args:
        relay: the running relay.
        worker: this process.
        loaded: the configuration with which the relay was made.
        options: of `run`.
    """

    def __init__(self, relay: Relay, worker: Worker, loaded: Loaded, options: RunOptions) -> None:
        self._relay = relay
        self._reconfiguration = Reconfiguration(relay)
        self._worker = worker
        self._path = loaded.path
        self._seen = fingerprint(loaded.text)
        """Fingerprint of the content last loaded by the start or the watch."""
        self._options = options
        self._requested = asyncio.Event()
        self._awaiting: list[asyncio.Future[ReloadOutcome]] = []
        """Results that callers of `reload` wait for."""
        self._thread = DiskThread("configuration")
        self._has_ended = False

    def request(self) -> None:
        """Request a reload; requests before it begins count once."""
        self._requested.set()

    async def reload(self) -> ReloadOutcome:
        """Request a reload and wait for its result.

        Raises:
            RelayError: it is refused, and nothing has changed; or the relay ends before it.
        """
        result: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._awaiting.append(result)
        self.request()
        return await result

    async def close(self) -> None:
        """Close what waits for the next window, and end the thread."""
        self._settle(_left_to_the_next())
        self._thread.close()
        await self._reconfiguration.close()

    def stop(self) -> None:
        """End reloads: the next worker does those requested from now on."""
        self._has_ended = True

    async def run(self) -> None:
        """Do requested reloads until cancelled."""
        while True:
            await self._requested.wait()
            self._requested.clear()
            if self._has_ended:
                return
            self._worker.notifier.reloading()
            result = await self._reload()
            self._settle(result or _left_to_the_next())
            if result is not None:
                self._worker.notifier.ready(self._relay.status.ready()[1])

    def _settle(self, result: ReloadOutcome | RelayError) -> None:
        """Give a result to all that wait for one."""
        awaiting, self._awaiting = self._awaiting, []
        for one in awaiting:
            if one.done():  # the client has gone
                continue
            if isinstance(result, RelayError):
                one.set_exception(result)
            else:
                one.set_result(result)

    async def watch(self) -> None:
        """Request a reload when the content of the file has changed and is stable, until cancelled."""
        previous = ""
        while self._path:
            await asyncio.sleep(WATCH_SECONDS)
            now = fingerprint(await self._thread.run(_read_text, self._path))
            if now and now == previous and now != self._seen and self._relay.config.config.watch:
                self._seen = now
                self.request()
            previous = now

    async def _reload(self) -> ReloadOutcome | RelayError | None:
        """Reload; return what was accepted, or why it was refused; None if it is left to the next worker."""
        try:
            prepared = await self._prepare()
            if self._has_ended:
                await prepared.transport.close()
                return None
            await self._accept(prepared)
            await self._apply(prepared)
        except RelayError as error:
            why = error.brief()
            self._relay.status.is_last_reload_successful, self._relay.status.reload_error = False, why
            event = "reload refused, nothing has changed"
            structlog.get_logger("relay").warning(event, code="RLY502", why=why)
            return error
        generation = self._relay.in_force.generation + bool(prepared.changes.replacing)
        return ReloadOutcome(generation, prepared.before, prepared.loaded.config, prepared.changes)

    async def _prepare(self) -> PreparedReload:
        """Read the configuration on disk; read again if the one in force changed meanwhile."""
        while True:
            prepared = await self._thread.run(self._read)
            if prepared.before is self._relay.config:
                return prepared
            await prepared.transport.close()

    def _read(self) -> PreparedReload:
        before = self._relay.config
        loaded = load_for_run(self._path, self._options)
        changes = compare(before, loaded.config)
        self._check_changes(changes)
        return PreparedReload(
            before=before,
            loaded=loaded,
            changes=changes,
            credentials=needed_credentials(at_once(before, loaded.config).cloud),
            next_credentials=needed_credentials(loaded.config.cloud),
            transport=make_transport(loaded.config.cloud),
        )

    def _check_changes(self, changes: Changes) -> None:
        """Refuse the whole reload if any of its changes is impossible.

        Raises:
            ConfigError: RLY502, with the reason.
        """
        if changes.refused:
            keys = ", ".join(changes.refused)
            raise ConfigError(Problem(code="RLY502", message=f"only a restart changes {keys}", fix="restart"))
        if changes.replacing and not self._worker.supervisor:
            keys = ", ".join(changes.replacing)
            raise ConfigError(Problem(code="RLY502", message=f"{keys}: the sockets are given, not opened here"))

    async def _accept(self, prepared: PreparedReload) -> None:
        """Send the plan for the next worker to the supervisor.

        Raises:
            ConfigError: RLY502: the supervisor cannot be reached; the transport is closed.
        """
        generation = self._relay.in_force.generation + 1
        plan = make_plan(prepared.loaded, take_over=self._options.take_over, generation=generation)
        try:
            self._worker.accept(plan.to_json(), is_rebinding=bool(prepared.changes.replacing))
        except OSError as error:
            await prepared.transport.close()
            message = f"the supervisor cannot be given the configuration: {error.strerror}"
            raise ConfigError(Problem(code="RLY502", message=message, fix="reload again")) from error

    async def _apply(self, prepared: PreparedReload) -> None:
        """Apply the changes: at once, at the next window, or by leaving all of them to the next worker."""
        before, loaded, changes, credentials, next_credentials, transport = prepared
        config = loaded.config
        if changes.replacing:
            # False until another worker runs; it stays false if the supervisor cannot open the addresses.
            self._relay.status.is_last_reload_successful = False
            self._relay.status.reload_error = "its addresses take effect with the next worker"
            await transport.close()
            return
        in_force, wall = self._relay.in_force, self._relay.context.clock.wall()
        source = in_force.followed_by(loaded, since=wall)
        self._relay.in_force = source.with_origins(in_force.origins, of=changes.at_next_window)
        now = at_once(before, config)
        await self._reconfiguration.apply_now(now, credentials)
        await self._reconfiguration.schedule(config, credentials=next_credentials, transport=transport, source=source)
        self._relay.status.is_last_reload_successful, self._relay.status.reload_error = True, ""
        self._relay.status.cautions = [*loaded.warnings, *(credentials.warnings if credentials else ())]
        changed = {"at_once": list(changes.at_once), "at_the_next_window": list(changes.at_next_window)}
        structlog.get_logger("relay").info("reloaded", **changed)
        configure_log(config.log, is_continued=True, copy=self._relay.log_ring.add)


def _left_to_the_next() -> RelayError:
    problem = Problem(code="RLY502", message="the relay stops or is being replaced", fix="reload again")
    return RelayError(problem, exit_code=ExitCode.UNREACHABLE)


def _read_text(path: Path) -> str | None:
    """Return the content of a file; None if it cannot be read, for example while it is replaced."""
    try:
        return read_bytes(path).decode("utf-8", "surrogateescape")
    except ConfigError:
        return None
