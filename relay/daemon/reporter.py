"""The reports of `run`: lines on a terminal, or constant events with fields in the log.

At the start: the sockets, the receive buffer asked and granted, the hot path, the destination, the origin of the
credentials, and the time of the first close. Then one line per window, and one line at the stop: the fate of
the open window, and the counts.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from relay import __version__
from relay.supervisor.log import LogStream
from relay.wording import as_hour, as_size, number

if TYPE_CHECKING:
    from relay.config.schema import Config
    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.shutdown import ShutdownReport
    from relay.ledger import Books
    from relay.window.protocols import WindowReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReporter:
    """Lines on a terminal: on stdout, or on stderr if stdout carries requests."""

    where: str
    """Source of the configuration."""
    to: str
    """Destination of points."""
    credentials: str
    """Origin of the credentials."""
    sockets: str = "own"
    """Holder of the sockets."""
    err: bool = False

    def started(self, relay: Relay) -> None:
        """Print the sockets, the destination, and the time of the first close."""
        config = relay.config
        self._write(
            f"statsd-relay {__version__}  hot path {relay.hotpath.name} · uvloop"
            f" · Python {sys.version.split()[0]} · {self.where}"
        )
        self._write_sockets(relay)
        self._write(f"sending    {self.to}   credentials: {self.credentials}")
        for label, values in _rules_and_tees(config).items():
            self._write(f"{label:<10} {values}")
        close = relay.closer.open_id + config.window.seconds
        self._write(
            f"window     {config.window.seconds} s on the wall clock, first close {as_hour(close)}"
            f" (in {max(0, close - time.time()):.0f} s)"
        )
        self._write(f"state      {relay.state or 'in memory only'}   {describe_backlog(relay)}")

    def _write_sockets(self, relay: Relay) -> None:
        for listener in relay.listeners:
            form, place = _where(listener.label)
            held = "" if self.sockets == "own" else f", socket held by {self.sockets}"
            asked, granted = as_size(listener.asked), as_size(listener.granted)
            buffer = f"  receive buffer {granted} (asked {asked})" if listener.asked else ""
            self._write(f"listening  {form} {place}{buffer}{held}")
        for stream in relay.streams.listeners:
            form, place = _where(stream.label)
            self._write(f"listening  {form} {place}  at most {relay.streams.max_connections} connections in all")
        if relay.admin:
            self._write(f"           admin http://{relay.admin.address}")

    def closed(self, closed: WindowReport, *, lines: int, rejected: int) -> None:
        """Print the window's line."""
        self._write(
            f"{as_hour(time.time())}   closed {as_hour(closed.start)}  {number(lines)} lines -> {number(closed.points)}"
            f" points in {number(closed.requests)} requests, {closed.seconds:.2f} s, {number(rejected)} rejected"
        )

    def stopped(self, stopped: ShutdownReport) -> None:
        """Print what became of the open window and of the points."""
        books = stopped.books
        head = "handing over: sockets stay open" if stopped.is_handed_over else "stopping: sockets closed"
        self._write(
            f"{head}, {describe_window(stopped)}; {number(books.delivered)} points delivered,"
            f" {number(books.spooled + books.in_flight)} spooled; {describe_losses(books)} ({stopped.seconds:.1f} s)"
        )

    def _write(self, line: str) -> None:
        LogStream(sys.stderr if self.err else sys.stdout, is_text=True).write(f"{line}\n")


def _where(label: str) -> tuple[str, str]:
    """Split a listener's name: `udp://127.0.0.1:8125`, `unix-dgram:PATH`."""
    form, _, place = label.partition(":")
    return form, place.removeprefix("//")


def _rules_and_tees(config: Config) -> dict[str, Any]:
    """Return the number of rules and the targets of tees; empty entries are left out."""
    found = {"rules": len(config.rule), "tee": ", ".join(tee.to for tee in config.tee)}
    return {label: value for label, value in found.items() if value}


def describe_window(stopped: ShutdownReport) -> str:
    """Return what became of the open window, in words."""
    if stopped.is_handed_over:
        return "open window kept on disk for the next worker"
    if stopped.closed_early:
        return "open window closed early"
    return "open window kept on disk for the next start" if stopped.is_kept else "open window dropped"


def describe_backlog(relay: Relay) -> str:
    """Return the number of points waiting from before, in words."""
    points = relay.spool.points
    return f"{number(points)} points wait to be sent" if points else "nothing waits to be sent"


def describe_losses(books: Books) -> str:
    """Return the losses with their reasons, in words; "nothing lost" without any."""
    lost = [*books.samples_dropped.items(), *books.dropped.items()]
    parts = [f"{number(count)} dropped ({reason})" for reason, count in lost if count]
    if books.refused:
        parts.append(f"{number(books.refused)} refused by the cloud (see the dead letters)")
    return ", ".join(parts) or "nothing lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonReporter:
    """The reports as events in the log."""

    where: str
    to: str
    credentials: str
    sockets: str = "own"

    def started(self, relay: Relay) -> None:
        """Log what was bound."""
        log = structlog.get_logger("relay")
        for listener in relay.listeners:
            form, place = _where(listener.label)
            log.info(
                "listening",
                **{form: place},
                receive_buffer_asked=int(listener.asked),
                receive_buffer_granted=listener.granted,
                socket=self.sockets,
            )
        for stream in relay.streams.listeners:
            form, place = _where(stream.label)
            log.info("listening", **{form: place}, stream_connections=relay.streams.max_connections)
        log.info(
            "started",
            version=__version__,
            hotpath=relay.hotpath.name,
            config=self.where,
            to=self.to,
            credentials=self.credentials,
            admin=relay.admin.address if relay.admin else "",
            state=str(relay.state or ""),
            waiting=relay.spool.points,
            open_window=relay.closer.open_id,
            **_rules_and_tees(relay.config),
        )

    def closed(self, closed: WindowReport, *, lines: int, rejected: int) -> None:
        """Log the window."""
        structlog.get_logger("relay").info(
            "window closed",
            window=closed.start,
            lines=lines,
            points=closed.points,
            requests=closed.requests,
            seconds=round(closed.seconds, 3),
            rejected=rejected,
        )

    def stopped(self, stopped: ShutdownReport) -> None:
        """Log the counts and what became of the open window."""
        books = stopped.books
        structlog.get_logger("relay").info(
            "stopped",
            window=describe_window(stopped),
            delivered=books.delivered,
            spooled=books.spooled + books.in_flight,
            losses=describe_losses(books),
            imbalance=books.imbalance(),
            seconds=round(stopped.seconds, 3),
        )
