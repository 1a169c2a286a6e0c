"""`statsd-relay run`: the worker's side of the command; the supervisor has started this process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click
import uvloop

from relay.cli.plan import run_options
from relay.daemon.cloud import prepare
from relay.daemon.lifecycle.plan import RunOptions, load_for_run
from relay.daemon.lifecycle.worker import Worker
from relay.daemon.main import serve, tune_garbage_collector

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@run_options
@click.pass_obj
def run(worker: Worker | None, path: Path | None, *, dry_run: bool, take_over: bool, as_json: bool) -> None:
    """Receive, aggregate and deliver until SIGTERM."""
    worker, options = worker or Worker(), RunOptions(dry_run=dry_run, take_over=take_over, as_json=as_json)
    prepared = prepare(load_for_run(path, options, text=worker.text), is_trusted=bool(worker.supervisor))
    tune_garbage_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(prepared, worker, options))
    if worker.next is not None:
        worker.become_next(os.environ)
