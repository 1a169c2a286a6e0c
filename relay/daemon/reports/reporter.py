"""The reports of `run` in the log: the start, each window, the stop.

Each report is an event with fields, for JSON, and has its own lines for the text. At the start: the sockets, the
receive buffer asked and granted, the destination with key and place of the credentials, the dimensions as sent, the
state directory, and the time of the first close.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import structlog

from relay import __version__
from relay.daemon.health.access_key import describe_key
from relay.naming.characters import clean_pairs
from relay.supervisor.log_format import BLOCK, SAYS, as_date, wrap
from relay.wording import as_clock, as_size, as_window, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.shutdown import ShutdownReport
    from relay.ledger import Books, WindowRecord
    from relay.listener.udp import UdpListener

_LABEL: Final = 12
"""Columns of the first words of the lines at the start."""
_OURS: Final = ("own", "the supervisor")
"""Holders of sockets that need no word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Reports to the log. State: none, but for what does not change while the relay runs."""

    sockets: str = "own"
    """Holder of the sockets."""
    log: Any = None
    """None: the relay's log."""
    width: int = 80
    """Columns of the lines at the start."""

    def started(self, relay: Relay) -> None:
        """Report the sockets, the destination, and the time of the first close."""
        self._log.info(
            "started",
            version=__version__,
            hotpath=relay.hotpath.name,
            python=_python(),
            config=_file(relay),
            **_destination(relay),
            dimensions=" ".join(_dimensions(relay)),
            admin=relay.admin.address if relay.admin else "",
            state=str(relay.state or ""),
            waiting=relay.spool.points,
            open_window=relay.closer.open_id,
            rules=len(relay.config.rule),
            tees=[tee.to for tee in relay.config.tee],
            **{BLOCK: list(self._lines(relay))},
        )
        for listener in relay.listeners:
            self._listening(
                listener.label, asked_bytes=int(listener.asked), granted_bytes=listener.granted, held_by=self.sockets
            )
        for stream in relay.streams.listeners:
            self._listening(stream.label, connections=relay.streams.max_connections)

    def closed(self, window: WindowRecord, *, lost: int) -> None:
        """Report a window: what became of its points, and what was lost since the window reported before."""
        dropped = sum(window.dropped.values())
        says = [
            as_window(window.start, window.seconds),
            plural(window.lines, "line"),
            plural(window.points, "point"),
            f"delivered {number(window.delivered)}",
            f"waiting {number(window.waiting)}",
            *([f"refused {number(window.refused)}"] if window.refused else ()),
            *([f"dropped {number(dropped)}"] if dropped else ()),
            f"lost {number(lost)}",
        ]
        self._log.info(
            "window closed",
            window=window.start,
            lines=window.lines,
            rejected=sum(window.rejected.values()),
            series=window.series,
            points=window.points,
            requests=window.requests,
            delivered=window.delivered,
            waiting=window.waiting,
            refused=window.refused,
            dropped=dropped,
            lost=lost,
            late_seconds=round(window.late, 3),
            **{SAYS: says},
        )

    def stopped(self, stopped: ShutdownReport) -> None:
        """Report what became of the open window and of the points."""
        books, fate = stopped.books, describe_window(stopped)
        head = "handing over: sockets stay open" if stopped.is_handed_over else "stopped: sockets are closed"
        waiting = books.spooled + books.in_flight
        counts = f"{plural(books.delivered, 'point')} delivered, {number(waiting)} waiting; {describe_losses(books)}"
        self._log.info(
            "stopped",
            open_window_is=fate,
            delivered=books.delivered,
            waiting=waiting,
            losses=describe_losses(books),
            imbalance=books.imbalance(),
            seconds=round(stopped.seconds, 3),
            **{SAYS: f"{head}, {fate}; {counts} ({stopped.seconds:.1f} s)"},
        )

    @property
    def _log(self) -> Any:  # noqa: ANN401 - structlog's loggers have no common type
        return self.log or structlog.get_logger("relay")

    def _listening(self, label: str, **fields: object) -> None:
        """Log a socket; the text has it in the lines of the start."""
        self._log.info("listening", listener=label, **fields, **{BLOCK: []})

    def _lines(self, relay: Relay) -> Iterator[str]:
        """Yield the lines of the start."""
        head = f"statsd-relay {__version__}  {relay.hotpath.name}  Python {_python()}"
        now, config = time.time(), relay.config
        day, offset = as_date(now).split()
        date = f"{day} {as_clock(now)} {offset}"
        room = self.width - len(head)
        yield from [f"{head}{date:>{room}}"] if room >= len(date) + 2 else [head, date]
        close = relay.closer.open_id + config.window.seconds
        for label, text in (
            *(("listening", text) for text in self._sockets(relay)),
            ("sending", _sending(relay)),
            ("dimensions", f"{' '.join(_dimensions(relay)) or 'none'}, on every series"),
            ("rules", number(len(config.rule)) if config.rule else ""),
            ("tees", ", ".join(tee.to for tee in config.tee)),
            ("window", f"{config.window.seconds} s, first close {as_clock(close)}"),
            ("state", f"{relay.state or 'in memory alone'}, {describe_backlog(relay)}"),
            ("config", _file(relay) or "no file"),
            ("admin", f"http://{relay.admin.address}" if relay.admin else "none"),
        ):
            if text:
                yield from labelled(label, text, self.width)

    def _sockets(self, relay: Relay) -> Iterator[str]:
        """Yield a text for the sockets of one form with one size of buffer."""
        held = "" if self.sockets in _OURS else f", held by {self.sockets}"
        for (form, buffer), found in groupby(relay.listeners, lambda one: (_where(one.label)[0], _buffer(one))):
            yield f"{form} {' and '.join(_where(one.label)[1] for one in found)}{buffer}{held}"
        limit = f", at most {plural(relay.streams.max_connections, 'connection')} in all"
        for form, streams in groupby(relay.streams.listeners, lambda one: _where(one.label)[0]):
            yield f"{form} {' and '.join(_where(one.label)[1] for one in streams)}{limit}"


def _destination(relay: Relay) -> dict[str, Any]:
    """Return the fields that say where points go, and the key that signs."""
    cloud, credentials = relay.config.cloud, relay.credentials
    if credentials is None:
        return {"provider": cloud.provider}
    masked, place, _ = describe_key(cloud, credentials, os.environ)
    return {
        "provider": cloud.provider,
        "region": credentials.region,
        "endpoint": cloud.endpoint.format(region=credentials.region),
        "namespace": cloud.namespace,
        "access_key": masked,
        "key_place": place,
    }


def _sending(relay: Relay) -> str:
    cloud, credentials = relay.config.cloud, relay.credentials
    if credentials is None:
        return {"file": f"file {cloud.file}", "stdout": "standard output"}.get(cloud.provider, cloud.provider)
    masked, place, _ = describe_key(cloud, credentials, os.environ)
    host = f" at {cloud.endpoint}" if "{region}" not in cloud.endpoint else ""
    return f"{cloud.provider} {credentials.region}{host}, namespace {cloud.namespace}, key {masked} from {place}"


def labelled(label: str, text: str, width: int) -> Iterator[str]:
    """Yield lines that begin with a label; further lines stand below the text."""
    words = ((" ", word) for word in text.split(" "))
    yield from (f"{'' if at else label:<{_LABEL}}{line}" for at, line in enumerate(wrap(words, width - _LABEL)))


def _file(relay: Relay) -> str:
    """Return the configuration file; "" without one."""
    return str(relay.in_force.path or "")


def _python() -> str:
    return sys.version.split()[0]


def _where(label: str) -> tuple[str, str]:
    """Split a listener's name: `udp://127.0.0.1:8125`, `unix-dgram:PATH`."""
    form, _, place = label.partition(":")
    return form, place.removeprefix("//")


def _buffer(listener: UdpListener) -> str:
    if not listener.asked:
        return ""
    asked, granted = (as_size(size).replace(".0 ", " ") for size in (listener.asked, listener.granted))
    return f", buffer {granted} {'as asked' if listener.granted >= listener.asked else f'of {asked} asked'}"


def _dimensions(relay: Relay) -> Iterator[str]:
    """Yield `[tags]` as they are sent; one that the API does not take has what it was in parentheses."""
    tags = [(key, value) for key, value in relay.config.tags.items() if value]
    for (key, value), (sent_key, sent) in zip(tags, clean_pairs(tags) if tags else (), strict=True):
        before = "" if (key, value) == (sent_key, sent) else value if key == sent_key else f"{key}={value}"
        yield f"{sent_key}={sent}{f' (from {before})' if before else ''}"


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
    return f"{plural(points, 'point')} {'waits' if points == 1 else 'wait'} to be sent" if points else "nothing waits"


def describe_losses(books: Books) -> str:
    """Return the losses with their reasons, in words; "nothing lost" without any."""
    lost = [*books.samples_dropped.items(), *books.dropped.items()]
    parts = [f"{number(count)} dropped ({reason})" for reason, count in lost if count]
    if books.refused:
        parts.append(f"{number(books.refused)} refused by the cloud (see the dead letters)")
    return ", ".join(parts) or "nothing lost"
