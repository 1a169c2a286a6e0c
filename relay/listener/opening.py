"""Open what is configured beside UDP: TCP, Unix datagrams and Unix streams.

The stack `closing` takes what ends them.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from relay.listener.stream import Streams
from relay.listener.tcp import bind_tcp
from relay.listener.unix import UnixDatagramListener, bind_unix

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from relay.clock import Clock
    from relay.config.schema import Listen
    from relay.listener.stream import Sink as LineSink
    from relay.listener.udp import Sink as DatagramSink
    from relay.telemetry import LossLog


def open_unix_datagrams(
    listen: Listen, *, sink: DatagramSink, clock: Clock, closing: AsyncExitStack
) -> list[UnixDatagramListener]:
    """Bind the Unix datagram sockets; nothing is read before `start`.

    Raises:
        RelayError: RLY101, a path cannot be bound.
    """
    listeners = []
    for path in listen.unix_paths("dgram"):
        sock = _bind(listen, path, socket.SOCK_DGRAM, closing)
        listeners.append(UnixDatagramListener(sock, sink=sink, clock=clock))
        closing.callback(listeners[-1].stop)
    return listeners


def open_streams(
    listen: Listen, *, sink: LineSink, clock: Clock, loss_log: LossLog, closing: AsyncExitStack
) -> Streams:
    """Bind the stream sockets; no connection is taken before `start`.

    Raises:
        RelayError: RLY101, an address or a path cannot be bound.
    """
    streams = Streams(
        sink=sink,
        clock=clock,
        loss_log=loss_log,
        most=listen.stream_connections,
        idle=listen.stream_idle,
        line_limit=listen.line_limit,
    )
    closing.callback(streams.stop)
    for address in listen.tcp:
        streams.add_lines(bind_tcp(address), "tcp")
    for path in listen.unix_paths("stream"):
        streams.add_lines(_bind(listen, path, socket.SOCK_STREAM, closing), "unix-stream")
    for path in listen.unix_paths("datadog"):
        streams.add_frames(_bind(listen, path, socket.SOCK_STREAM, closing), "unix-datadog")
    return streams


def _bind(listen: Listen, path: Path, kind: socket.SocketKind, closing: AsyncExitStack) -> socket.socket:
    bound = bind_unix(path, kind=kind, mode=listen.unix_permissions())
    closing.callback(bound.unlink)
    return bound.socket
