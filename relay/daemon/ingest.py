"""The receiving half of a relay: the hot path, and the listeners that feed it. It starts before everything else.

While a worker starts, packets wait in the kernel's receive buffer: a default one holds 8,000 packets/s for 32 ms, one
of 8 MiB for some seconds. Importing and configuring the rest takes ten times as long as this module. So the supervisor
passes the few settings that receiving depends on, and reading begins before the configuration is read. Samples received
before naming begins are stored under their raw identities, so a delta of a gauge still finds the restored base.

Not known here: naming, windows beyond the first, and delivery.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from relay.clock import SystemClock
from relay.hotpath.contract import HotPathSettings
from relay.listener.addresses import DATADOG, DGRAM, STREAM, TCP, UDP, SocketSpec
from relay.listener.socket_activation import INGEST, variable_error
from relay.listener.sockets import close_sockets, open_sockets
from relay.listener.udp import UdpListener, UnixListener
from relay.model import Kind, Series
from relay.tee.tees import Tees

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from relay.clock import Clock
    from relay.config.schema import ListenConfig
    from relay.context import Context
    from relay.hotpath.contract import HotPath
    from relay.listener.addresses import BoundSocket
    from relay.listener.stream import Streams
    from relay.loss_log import LossLog


class CatchAll(dict[Kind, Series]):
    """The overflow series of each class. Hot paths call it; equal content makes equal settings."""

    __call__ = dict.__getitem__


class IngestSettings(NamedTuple):
    """The settings of receiving; plain values, as the supervisor passes them to its worker as JSON."""

    implementation: str
    """`native` or `python`."""
    hotpath: HotPathSettings
    allow: Sequence[str]
    receive_buffer: int
    """Bytes to request from the kernel."""
    receive_delay: float
    tees: Sequence[str] = ()
    """HOST:PORT of the tees. An IP address gets copies from the first datagram on, a name after it is resolved."""

    def to_json(self) -> str:
        """Return the settings as JSON for `from_json` in another process, perhaps of another release.

        The form is flat: the settings of the hot path stand beside the others, and `hotpath` is the implementation.
        """
        catch_all = [self.hotpath["catch_all"](kind) for kind in Kind]
        fields = {**self._asdict(), **self.hotpath, "catch_all": catch_all, "hotpath": self.implementation}
        del fields["implementation"]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> IngestSettings:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["catch_all"] = CatchAll(zip(Kind, map(_series, fields["catch_all"]), strict=True))
        implementation = fields.pop("hotpath")
        hotpath = cast("HotPathSettings", {name: fields.pop(name) for name in HotPathSettings.__annotations__})
        return cls(implementation, hotpath, **fields)


def _series(fields: Sequence[Any]) -> Series:
    metric, dimensions, kind, *others = fields
    return Series(metric, tuple((key, value) for key, value in dimensions), Kind(kind), *others)


class Ingest:
    """State: the hot path, the listeners, the tees, and the settings of all of them."""

    def __init__(
        self, settings: IngestSettings, hotpath: HotPath, held: Sequence[BoundSocket], *, clock: Clock, is_held: bool
    ) -> None:
        self.settings = settings
        self.hotpath = hotpath
        self._is_started = False
        self.is_held = is_held
        """Whether another process holds the sockets, so that they stay open after this relay."""
        self._held = held
        self.listeners = self._make_listeners(clock)
        self.streams = [one for one in held if one.kind in (TCP, STREAM, DATADOG)]
        """Stream sockets, which accept connections."""
        self._connections: Streams | None = None
        own = [one.socket.getsockname()[:2] for one in held if one.kind == UDP]
        self.tees = Tees(hotpath, own, clock=clock)
        self.tees.configure(settings.tees)
        hotpath.allow(settings.allow)
        seconds = settings.hotpath["window_seconds"]
        hotpath.open_window(int(clock.wall()) // seconds * seconds)

    def _make_listeners(self, clock: Clock) -> list[UdpListener]:
        listeners = [
            UdpListener(
                one.socket,
                receive_buffer=self.settings.receive_buffer,
                receive_delay=self.settings.receive_delay,
                sink=self.hotpath,
                clock=clock,
                number=number,
                index=index,
                is_held=self.is_held,
            )
            for index, (one, number) in enumerate(numbered(self._held))
        ]
        dgrams = [one.socket for one in self._held if one.kind == DGRAM]
        return [
            *listeners,
            *(
                UnixListener(sock, sink=self.hotpath, clock=clock, index=index, is_held=self.is_held)
                for index, sock in enumerate(dgrams, len(listeners))
            ),
        ]

    @classmethod
    def open(cls, settings: IngestSettings, wanted: SocketSpec, hotpath: HotPath, clock: Clock) -> Ingest:
        """Open sockets and make an ingest on them.

        Raises:
            RelayError: RLY101, an address cannot be bound.
        """
        held = open_sockets(wanted)
        try:
            return cls(settings, hotpath, held, clock=clock, is_held=False)
        except BaseException:
            close_sockets(held)
            raise

    def configure(self, settings: IngestSettings) -> None:
        """Use the settings of the configuration, which may differ from those that the supervisor passed."""
        if settings != self.settings:
            self.settings = settings
            self.hotpath.configure(**settings.hotpath)
            self.hotpath.allow(settings.allow)
        self.tees.configure(settings.tees)

    def start(self) -> None:
        """Begin to read datagrams; a second call does nothing. The Python hot path needs the running loop."""
        if self._is_started:
            return
        self._is_started = True
        for listener in self.listeners:
            listener.start()

    def start_streams(self, listen: ListenConfig, *, max_connections: int, context: Context) -> Streams:
        """Begin to accept at most `max_connections` connections, on the running loop; `stop` ends them."""
        from relay.listener.stream import Streams  # noqa: PLC0415 - reading begins without asyncio

        connections = self._connections = Streams(
            sink=self.hotpath,
            context=context,
            max_connections=max_connections,
            idle=listen.stream_idle,
            line_limit=listen.line_limit,
            first_index=len(self.listeners),
            is_held=self.is_held,
        )
        for one in self.streams:
            connections.add(one)
        connections.start()
        return connections

    def background(self, loss_log: LossLog) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the tasks of connections and tees, which run until they are cancelled."""
        connections = [self._connections.run] if self._connections else []
        return [*connections, lambda: self.tees.run(loss_log)]

    def stop(self) -> None:
        """Stop reading after the datagrams that the kernel has queued; close the sockets unless `is_held`."""
        if self._connections is not None:
            self._connections.stop()
        for listener in self.listeners:
            listener.stop()
        self.tees.close()
        if not self.is_held:
            close_sockets(self._held)


def numbered(held: Sequence[BoundSocket]) -> list[tuple[BoundSocket, int]]:
    """Return the UDP sockets, each with its number (from 1) among the sockets of its address."""
    seen: dict[object, int] = {}
    found: list[tuple[BoundSocket, int]] = []
    for one in held:
        if one.kind == UDP:
            bound = one.socket.getsockname()
            seen[bound] = seen.get(bound, 0) + 1
            found.append((one, seen[bound]))
    return found


def begin_reading(text: str, held: Sequence[BoundSocket]) -> Ingest | None:
    """Begin to read, in threads, before other modules are imported; None if the hot path needs the event loop.

    Raises:
        RelayError: RLY102, the text is not settings of this release.
    """
    try:
        ingest = _make(IngestSettings.from_json(text), held)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise variable_error(INGEST, f"holds no settings of this release: {type(error).__name__}") from error
    if ingest:
        ingest.start()
    return ingest


def _make(settings: IngestSettings, held: Sequence[BoundSocket]) -> Ingest | None:
    if settings.implementation != "native":
        return None
    from relay.hotpath.native._native import NativeHotPath  # noqa: PLC0415 - only what runs

    hotpath = NativeHotPath(**settings.hotpath)
    return Ingest(settings, hotpath, held, clock=SystemClock(), is_held=True)
