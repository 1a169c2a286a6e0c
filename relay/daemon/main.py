"""Makes a relay from a configuration, runs it until a signal, and stops it."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from relay.admin.log_ring import LogRing
from relay.clock import SystemClock
from relay.daemon.app import Relay
from relay.daemon.build import admin_addresses, ingest_settings
from relay.daemon.ingest import Ingest
from relay.daemon.lifecycle.in_force import ConfigInForce
from relay.daemon.lifecycle.plan import RunOptions, load_for_run
from relay.daemon.lifecycle.reload import Reloader
from relay.daemon.lifecycle.signals import install_signal_handlers
from relay.daemon.log import configure_log
from relay.daemon.reports.reporter import Reporter
from relay.delivery.state.directory import home_directory, state_directory
from relay.errors import ConfigError, Problem, RelayError
from relay.hotpath.factory import make_hotpath
from relay.listener.admin_sockets import AdminSockets
from relay.listener.bind import enlarge_buffer
from relay.supervisor.log import LogStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.config.loading import Loaded
    from relay.config.schema import Config
    from relay.daemon.cloud import Prepared
    from relay.daemon.lifecycle.shutdown import ShutdownReport
    from relay.daemon.lifecycle.worker import Worker


def tune_garbage_collector() -> None:
    """Avoid full garbage collections: with 50,000 series, one stalled the loop for 160 ms.

    The large tables have no cycles. Objects in cycles die young, and the young generations are still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000_000)


async def serve(prepared: Prepared, worker: Worker, options: RunOptions) -> ShutdownReport:
    """Open a relay, run it until a signal, and stop it in order.

    Raises:
        RelayError: the start failed.
    """
    loaded, credentials = prepared.loaded, prepared.credentials
    ring = LogRing()
    configure_log(loaded.config.log, copy=ring.add)
    cautions = [*loaded.warnings, *(credentials.warnings if credentials else ())]
    not_in_force = why_not_in_force(loaded, worker.text, options)
    relay = make_relay(prepared, worker, options, ring)
    try:
        await relay.open()
    except RelayError:
        log_cautions(cautions)
        raise
    if not_in_force:
        event = "the file on disk is not in force, what was accepted last is"
        structlog.get_logger("relay").warning(event, code="RLY502", why=not_in_force)
    relay.status.is_last_reload_successful, relay.status.reload_error = not not_in_force, not_in_force
    relay.status.cautions = cautions
    async with install_signal_handlers(relay, worker, Reloader(relay, worker, loaded, options)):
        return await relay.run()


def log_cautions(cautions: Iterable[Problem]) -> None:
    """Log what else is not right at a start that failed; of a running relay the judge tells it."""
    log = structlog.get_logger("relay")
    for problem in cautions:
        log.warning("caution", code=problem.code, sentence=problem.message, fix=problem.fix)


def make_relay(prepared: Prepared, worker: Worker, options: RunOptions, ring: LogRing) -> Relay:
    """Make a relay on the sockets that the worker inherited, if it inherited any; it is not open."""
    config = prepared.loaded.config
    return Relay(
        config=config,
        credentials=prepared.credentials,
        transport=prepared.transport,
        state=find_state(worker, config),
        clock=SystemClock(),
        log_ring=ring,
        reporter=Reporter(
            sockets=worker.origin,
            width=LogStream(sys.stderr, is_text=True).width,
        ),
        ingest=inherited_ingest(worker, config),
        admin=AdminSockets(
            admin_addresses(config),
            worker.admin,
            waits=options.take_over or bool(worker.held),
            hold=worker.hold_admin(),
        ),
        is_successor=worker.accepted_state is not None,
        in_force=ConfigInForce.of(prepared.loaded, generation=worker.generation, since=time.time()),
        main_pid=worker.supervisor,
        deaths=worker.deaths,
    )


def find_state(worker: Worker, config: Config) -> Path | None:
    """Return the state directory: that of the previous worker, if there was one, even if the default has changed."""
    if worker.accepted_state is not None:
        return Path(worker.accepted_state) if worker.accepted_state else None
    return state_directory(config.spool, os.environ, home_directory())


def why_not_in_force(loaded: Loaded, given: str | None, options: RunOptions) -> str:
    """Return why the configuration given to a worker is not the one on disk; "" if it is."""
    if given is None:
        return ""
    try:
        on_disk = load_for_run(loaded.path, options)
    except ConfigError as error:
        return error.brief()
    return "" if given == (on_disk.text or "") else "it has changed since: reload it"


def inherited_ingest(worker: Worker, config: Config) -> Ingest | None:
    """Return the ingest on the inherited sockets; None if there are none."""
    if not worker.held:
        return None
    settings = ingest_settings(config)
    if worker.ingest:
        worker.ingest.configure(settings)
        return worker.ingest
    for one in worker.held:
        enlarge_buffer(one.socket, settings.receive_buffer)
    hotpath = make_hotpath(settings.implementation, **settings.hotpath)
    return Ingest(settings, hotpath, worker.held, clock=SystemClock(), is_held=True)
