"""`statsd-relay run`: the server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import uvloop

from relay.app import Relay
from relay.assembly import admin_addresses, ingest_settings
from relay.cli.attend import attend
from relay.cli.plan import RunOptions, load_for_run, run_options
from relay.cli.witness import JsonWitness, TextWitness, configure_log, is_text
from relay.clock import SystemClock
from relay.config.credentials import Credentials, find_credentials, stand_in
from relay.config.locate import home_directory, state_directory
from relay.config.types import Secret
from relay.delivery.transport import FileTransport, HttpTransport, LineTransport
from relay.errors import ConfigError, Problem
from relay.hotpath.choose import make_hotpath
from relay.ingest import Ingest
from relay.jdcloud.cloud import JDCloud
from relay.jdcloud.sign import Signer
from relay.listener.admin_sockets import AdminSockets
from relay.listener.sockets import enlarge_buffer
from relay.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.app import Witness
    from relay.config.loading import Loaded
    from relay.config.schema import Cloud, Config
    from relay.ending import Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration that can be used, with what of it might not have been there to be used."""

    loaded: Loaded
    credentials: Credentials | None
    transport: HttpTransport | LineTransport


@click.command()
@run_options
@click.pass_obj
def run(worker: Worker | None, path: Path | None, *, dry_run: bool, take_over: bool) -> None:
    """Receive, aggregate and deliver until SIGTERM."""
    worker, options = worker or Worker(), RunOptions(dry_run=dry_run, take_over=take_over)
    prepared = prepare(load_for_run(path, dry_run=dry_run, text=worker.text), is_trusted=bool(worker.supervisor))
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(prepared, worker, options))
    if worker.next is not None:
        worker.become_next(os.environ)


def prepare(loaded: Loaded, *, is_trusted: bool = False) -> Prepared:
    """Find what a configuration needs.

    Args:
        loaded: the configuration.
        is_trusted: it was tried, and what receives works by it: files that it names and that cannot be used by now end
            nothing. Requests are kept until they can.

    Raises:
        ConfigError: there are no credentials, or a file cannot be used.
    """
    cloud = loaded.config.cloud
    try:
        credentials = needed_credentials(cloud)
    except ConfigError as error:
        if not is_trusted:
            raise
        credentials = stand_in(cloud, os.environ, error)
    return Prepared(loaded=loaded, credentials=credentials, transport=make_transport(cloud, is_trusted=is_trusted))


def calm_collector() -> None:
    """Keep the garbage collector from walking the tables: with 50,000 series one full collection stalled for 160 ms.

    Tables have no cycles. What has some is young when it dies, and the young generations are still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000_000)


async def serve(prepared: Prepared, worker: Worker, options: RunOptions) -> Stopped:
    """Open a relay, run it until a signal, and stop it in order.

    Raises:
        RelayError: it could not start.
    """
    from relay.cli.reloading import Reloader  # noqa: PLC0415 - it makes what this file makes

    loaded, credentials = prepared.loaded, prepared.credentials
    config = loaded.config
    configure_log(config.log)
    log = structlog.get_logger("relay")
    for problem in (*loaded.warnings, *(credentials.warnings if credentials else ())):
        log.warning("caution", code=problem.code, message=problem.message, fix=problem.fix)
    not_in_force = why_not_in_force(loaded, worker.text, options)
    if not_in_force:
        log.warning("RLY502 the file on disk is not in force, what was accepted last is", reason=not_in_force)
    relay = Relay(
        config=config,
        cloud=make_renewed_cloud(config.cloud, credentials),
        transport=prepared.transport,
        state=find_state(worker, config),
        clock=SystemClock(),
        witness=make_witness(loaded, credentials, sockets=worker.origin),
        ingest=take_ingest(worker, config),
        admin=AdminSockets(
            admin_addresses(config),
            worker.admin,
            waits=options.take_over or bool(worker.held),
            hold=worker.hold_admin(),
        ),
        is_successor=worker.accepted_state is not None,
    )
    await relay.open()
    relay.status.is_last_reload_successful = not not_in_force
    async with attend(relay, worker, Reloader(relay, worker, loaded, options)):
        return await relay.run()


def find_state(worker: Worker, config: Config) -> Path | None:
    """Return the state directory: that of the worker before this one, whatever its default would be by now."""
    if worker.accepted_state is not None:
        return Path(worker.accepted_state) if worker.accepted_state else None
    return state_directory(config.spool, os.environ, home_directory())


def why_not_in_force(loaded: Loaded, given: str | None, options: RunOptions) -> str:
    """Return why a worker that was given a configuration does not work by what is on disk; "" if it does."""
    if given is None:
        return ""
    try:
        on_disk = load_for_run(loaded.path, dry_run=options.dry_run)
    except ConfigError as error:
        return error.brief()
    return "" if given == on_disk.text else "it has changed since: reload it"


def take_ingest(worker: Worker, config: Config) -> Ingest | None:
    """Return what receives on the sockets this process was given; None: it was given none."""
    if not worker.held:
        return None
    settings = ingest_settings(config)
    if worker.ingest:
        worker.ingest.adopt(settings)
        return worker.ingest
    for one in worker.held:
        enlarge_buffer(one.socket, settings.receive_buffer)
    hotpath = make_hotpath(settings.hotpath, **settings.limits())
    return Ingest(settings, hotpath, worker.held, clock=SystemClock(), is_held=True)


def needed_credentials(cloud: Cloud) -> Credentials | None:
    """Find the credentials, unless requests only go to a file or a terminal.

    Raises:
        ConfigError: RLY110, there are none.
    """
    return find_credentials(cloud, os.environ, home_directory()) if cloud.provider == "jdcloud" else None


def make_cloud(
    cloud: Cloud, credentials: Credentials | None, *, find: Callable[[], Credentials | None] = lambda: None
) -> JDCloud:
    """Make the API side; without credentials requests carry an empty signature's worth of nothing and go nowhere.

    Args:
        cloud: the section of the configuration.
        credentials: what signs requests.
        find: reads credentials again, when the cloud refuses these.
    """
    found = credentials or Credentials(
        access_key="dry-run", secret_key=Secret("dry-run"), region="dry-run", origin="none"
    )
    return JDCloud(
        endpoint=cloud.endpoint,
        region=found.region,
        signer=make_signer(cloud, found),
        nonce=lambda: str(uuid.uuid4()),
        newer_signer=NewerSigner(cloud, found, find),
    )


def make_renewed_cloud(cloud: Cloud, credentials: Credentials | None) -> JDCloud:
    """Make the API side of a relay that runs: refused credentials are looked for where these were found."""
    return make_cloud(cloud, credentials, find=lambda: needed_credentials(cloud))


def make_signer(cloud: Cloud, found: Credentials) -> Signer:
    """Make what signs requests."""
    return Signer(
        access_key=found.access_key,
        secret_key=found.secret_key,
        session_token=found.session_token,
        region=cloud.signature_region or found.region,
        version=cloud.signature,
        token_encoding=cloud.token_encoding,
    )


class NewerSigner:
    """State: the credentials in force, and why others were refused last.

    Called, it returns a signer if they were replaced where they were found.
    """

    def __init__(self, cloud: Cloud, credentials: Credentials, find: Callable[[], Credentials | None]) -> None:
        self._cloud = cloud
        self._in_force = credentials
        self._find = find
        self._told = ""

    def __repr__(self) -> str:
        """Say where the credentials came from."""
        return f"<NewerSigner {self._in_force.origin}>"

    def __call__(self) -> Signer | None:
        """Read them again; a file that is being replaced, or cannot be used, changes nothing and is told once."""
        try:
            found = self._find()
        except ConfigError as error:
            reason = error.brief()
            if reason != self._told:
                event = "RLY103 other credentials cannot be used, those in force go on"
                structlog.get_logger("relay").warning(event, reason=reason)
            self._told = reason
            return None
        self._told = ""
        if found is None or found.signs_like(self._in_force):
            return None
        self._in_force = found
        return make_signer(self._cloud, found)


def make_transport(cloud: Cloud, *, is_trusted: bool = False) -> HttpTransport | LineTransport:
    """Make the way out: HTTP, a terminal or a file; `is_trusted` is that of `prepare`.

    Raises:
        ConfigError: RLY103, a file it needs cannot be used.
    """
    try:
        return _open_transport(cloud, is_trusted=is_trusted)
    except OSError as error:
        path, key = (cloud.file, "cloud.file") if cloud.provider == "file" else (cloud.ca_file, "cloud.ca_file")
        problem = Problem(
            code="RLY103", message=f"{key}: cannot use {path}: {error.strerror or error}", fix="check the path"
        )
        raise ConfigError(problem) from error


def _open_transport(cloud: Cloud, *, is_trusted: bool) -> HttpTransport | LineTransport:
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


def make_witness(loaded: Loaded, credentials: Credentials | None, *, sockets: str = "own") -> Witness:
    """Choose who tells: text for people, events for machines."""
    cloud = loaded.config.cloud
    to = (
        f"jdcloud {cloud.namespace} -> {cloud.endpoint.format(region=credentials.region)}"
        if credentials
        else cloud.provider
    )
    origin = credentials.origin if credentials else "none needed"
    if is_text(loaded.config.log):
        where = f"config {loaded.path}" if loaded.path else "no configuration file"
        return TextWitness(where=where, to=to, credentials=origin, sockets=sockets, err=cloud.provider == "stdout")
    return JsonWitness(where=str(loaded.path or ""), to=to, credentials=origin, sockets=sockets)
