"""What `run` tells: lines for people on a terminal, constant events with fields for machines.

The text: what was bound, the buffer asked and granted, which hot path, where it sends, how the
credentials were found, the next close; one line per window; one line at stop that accounts for the open window.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

from relay import __version__, limits
from relay.cli.wording import as_hour, number
from relay.supervisor.log import LogStream, wants_text
from relay.wording import escape

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from relay.app import Relay
    from relay.config.schema import Config, Log
    from relay.ending import Stopped
    from relay.telemetry import Books
    from relay.window.neighbours import Closed

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def is_text(log: Log) -> bool:
    """Text on a terminal, JSON elsewhere, unless the configuration says which."""
    return wants_text(log.format)


def configure_log(log: Log) -> None:
    """Send the relay's log to stderr: stdout belongs to the results of commands."""
    renderer: Processor = (
        _with_caret(structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0))
        if is_text(log)
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[log.level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LogStream(sys.stderr, is_text=is_text(log)))),
    )


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """User bytes must not move the cursor of whoever reads the log, nor fill it; `at` moves with what is before it."""
    at = event.pop("at", None)
    if at is not None:
        event["column"] = len(escape(event["line"][:at])) + 1
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = escape(value[: limits.REJECT_BYTES])
    return event


def _with_caret(render: Processor) -> Processor:
    """Let people see a bad line on a line of its own, with a caret under the place."""

    def show(logger: WrappedLogger, name: str, event: EventDict) -> str:
        line, column = event.get("line", ""), event.get("column", 0)
        below = f"\n      {line}\n      {' ' * (column - 1)}^" if column else ""
        return str(render(logger, name, event)) + below

    return show


def kib(size: int) -> str:
    """A size for people."""
    return f"{size / 1048576:.1f} MiB" if size >= 1048576 else f"{size / 1024:.0f} KiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWitness:
    """Lines on a terminal: stdout, or stderr where stdout carries requests."""

    where: str
    """Where the configuration came from."""
    to: str
    """Where points go."""
    credentials: str
    """How they were found."""
    sockets: str = "own"
    """Who holds them."""
    err: bool = False

    def started(self, relay: Relay) -> None:
        """Print what was bound and what happens next."""
        config = relay.config
        self._say(
            f"statsd-relay {__version__}  hot path {relay.hotpath.name} · uvloop"
            f" · Python {sys.version.split()[0]} · {self.where}"
        )
        for listener in relay.listeners:
            form, place = _where(listener.label)
            held = "" if self.sockets == "own" else f", socket held by {self.sockets}"
            asked, granted = kib(listener.asked), kib(listener.granted)
            buffer = f"  receive buffer {granted} (asked {asked})" if listener.asked else ""
            self._say(f"listening  {form} {place}{buffer}{held}")
        for stream in relay.streams.listeners:
            form, place = _where(stream.label)
            self._say(f"listening  {form} {place}  at most {relay.streams.most} connections in all")
        if relay.admin:
            self._say(f"           admin http://{relay.admin.address}")
        self._say(f"sending    {self.to}   credentials: {self.credentials}")
        for label, values in _passing(config).items():
            self._say(f"{label:<10} {values}")
        close = relay.closer.open_id + config.window.seconds
        self._say(
            f"window     {config.window.seconds} s on the wall clock, first close {as_hour(close)}"
            f" (in {max(0, close - time.time()):.0f} s)"
        )
        self._say(f"state      {relay.state or 'in memory only'}   {waiting(relay)}")

    def closed(self, closed: Closed, *, lines: int, rejected: int) -> None:
        """Print the window's line."""
        self._say(
            f"{as_hour(time.time())}   closed {as_hour(closed.start)}  {number(lines)} lines -> {number(closed.points)}"
            f" points in {number(closed.requests)} requests, {closed.seconds:.2f} s, {number(rejected)} rejected"
        )

    def stopped(self, stopped: Stopped) -> None:
        """Print the line that accounts for the open window."""
        books = stopped.books
        kept = books.spooled + books.in_flight
        head = "handing over: sockets stay open" if stopped.is_handed_over else "stopping: sockets closed"
        self._say(
            f"{head}, {account_for_window(stopped)}; {number(books.delivered)} points delivered,"
            f" {number(kept)} spooled; {losses(books)} ({stopped.seconds:.1f} s)"
        )

    def _say(self, line: str) -> None:
        LogStream(sys.stderr if self.err else sys.stdout, is_text=True).write(f"{line}\n")


def _where(label: str) -> tuple[str, str]:
    """Split a listener's name: `udp://127.0.0.1:8125`, `unix-dgram:PATH`."""
    form, _, place = label.partition(":")
    return form, place.removeprefix("//")


def _passing(config: Config) -> dict[str, Any]:
    """Return how many rules names pass, and where copies go; nothing for what there is none of."""
    found = {"rules": len(config.rule), "tee": ", ".join(tee.to for tee in config.tee)}
    return {label: value for label, value in found.items() if value}


def account_for_window(stopped: Stopped) -> str:
    """Say what became of the open window."""
    if stopped.is_handed_over:
        return "open window kept on disk for the next worker"
    if stopped.closed_early:
        return "open window closed early"
    return "open window kept on disk for the next start" if stopped.is_kept else "open window dropped"


def waiting(relay: Relay) -> str:
    """Say what waits to be sent since before."""
    points = relay.spool.points
    return f"{number(points)} points wait to be sent" if points else "nothing waits to be sent"


def losses(books: Books) -> str:
    """Say what was lost, with reasons; "nothing lost" if nothing was."""
    lost = [*books.samples_dropped.items(), *books.dropped.items()]
    parts = [f"{number(count)} dropped ({reason})" for reason, count in lost if count]
    if books.refused:
        parts.append(f"{number(books.refused)} refused by the cloud (see the dead letters)")
    return ", ".join(parts) or "nothing lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonWitness:
    """The same as events in the log."""

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
            log.info("listening", **{form: place}, stream_connections=relay.streams.most)
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
            **_passing(relay.config),
        )

    def closed(self, closed: Closed, *, lines: int, rejected: int) -> None:
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

    def stopped(self, stopped: Stopped) -> None:
        """Log the account."""
        books = stopped.books
        structlog.get_logger("relay").info(
            "stopped",
            window=account_for_window(stopped),
            delivered=books.delivered,
            spooled=books.spooled + books.in_flight,
            losses=losses(books),
            imbalance=books.imbalance(),
            seconds=round(stopped.seconds, 3),
        )
