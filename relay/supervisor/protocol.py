"""What passes between a supervisor, its children and a service manager: variables, messages, and blocked signals.

A process gets its parameters through environment variables. They are checked before anything else is done: a wrong
value, set by hand or left behind by another program, ends in one message. Code that reads a variable later can rely on
a number in its range, or a descriptor of its kind.

Messages follow sd_notify(3), without a library: one datagram each. systemd gives an address in NOTIFY_SOCKET and
identifies the sender by the kernel's credentials. Our own supervisor gives one end of a socket pair in RELAY_CHANNEL
instead: every user of the machine could flood an address, and messages to a full queue are lost. A message to the
supervisor may carry a descriptor.

A worker reads packets long before it can stop in order. A signal with the default action would kill it in between, and
the packets read so far would be lost. So signals stay blocked until its handlers are installed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.listener.socket_activation import (
    ACCEPTED_STATE,
    CONFIGURATION_FD,
    DEATHS,
    GENERATION,
    INGEST,
    SUPERVISOR,
    variable_error,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping, MutableMapping

CHANNEL: Final = "RELAY_CHANNEL"
"""Environment variable with the descriptor of the worker's end of the socket pair."""
PLAN: Final = "RELAY_PLAN"
"""Environment variable with the descriptor to which a preflight check writes the plan."""
THOROUGH: Final = "RELAY_TRIAL"
"""Environment variable by which a preflight check also imports every module and opens the files that a worker needs."""
_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID")
_WORKERS: Final = (CHANNEL, SUPERVISOR, ACCEPTED_STATE, DEATHS, INGEST, GENERATION, CONFIGURATION_FD)
_OURS: Final = (*_SYSTEMD, *_WORKERS, PLAN, THOROUGH)
MESSAGE_BYTES: Final = 4096
"""Longest message, in either direction."""
_SHOWN: Final = 60
"""Characters of a value in a message."""
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
RELOADING: Final = "RELOADING=1"
WATCHDOG: Final = "WATCHDOG=1"
OURS: Final = "X_STATSD_RELAY_"
"""Prefix of the messages for our own supervisor only."""
ACCEPTED: Final = f"{OURS}ACCEPTED=1"
"""The configuration in the attached plan (supervisor/plan.py) is in force now."""
REBIND: Final = f"{OURS}REBIND=1"
"""The configuration in the attached plan is accepted and needs other sockets: open them and replace the worker."""
REFUSED: Final = f"{OURS}REFUSED=1"
"""The worker does not hand over and continues."""
NOT_REPLACED: Final = f"{OURS}NOT_REPLACED="
"""To the worker: it is not replaced; the reason follows."""
HOLD: Final = f"{OURS}HOLD="
"""Hold the attached socket of the admin port; its address follows."""
ADDRESS_BYTES: Final = 107
"""Longest address: sun_path of unix(7) has 108 bytes, the final NUL included."""
HANDLED_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
"""Signals that a worker handles: stop, reload, hand over."""
REPEAT_SECONDS: Final = 0.5
"""A second signal to stop within this time counts as the first: `timeout` sends two within a millisecond."""


# --- environment variables --------------------------------------------------------------------------------------------


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables meant for this process."""
    return {name: value for name, value in environ.items() if name not in _OURS}


class _Rule(NamedTuple):
    """The condition of a value: in words, and as a function."""

    words: str
    is_met: Callable[[str], bool]


def _number(most: int, *, least: int = 0) -> Callable[[str], bool]:
    """Return a predicate: whether a text is a whole number in a range."""
    digits = len(str(most))
    return lambda text: text.isascii() and text.isdecimal() and len(text) <= digits and least <= int(text) <= most


_is_descriptor: Final = _number((1 << 31) - 1)
_PID: Final = _Rule("the number of a process", _number(1 << 22))  # PID_MAX_LIMIT of Linux


def _is_anonymous(text: str) -> bool:
    """Return whether a text is the descriptor of an anonymous file; other files have no seals."""
    try:
        return _is_descriptor(text) and fcntl.fcntl(int(text), fcntl.F_GET_SEALS) >= 0
    except OSError:
        return False


def _is_socket(text: str) -> bool:
    try:
        return _is_descriptor(text) and stat.S_ISSOCK(os.fstat(int(text)).st_mode)
    except OSError:
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_address(text: str) -> bool:
    return text[0] in "/@" and len(text) > 1 and len(os.fsencode(text)) <= ADDRESS_BYTES


_TEXT_FILE: Final = _Rule("the descriptor of an anonymous file", _is_anonymous)
_RULES: Final = {
    PLAN: _TEXT_FILE,
    CONFIGURATION_FD: _TEXT_FILE,
    CHANNEL: _Rule("the descriptor of a socket", _is_socket),
    SUPERVISOR: _PID,
    ACCEPTED_STATE: _Rule("a JSON object", _is_object),
    GENERATION: _Rule("a number of reloads", _number(10**9)),
    DEATHS: _Rule("a JSON object", _is_object),
    INGEST: _Rule("a JSON object", _is_object),
    "LISTEN_PID": _PID,
    "WATCHDOG_PID": _PID,
    "WATCHDOG_USEC": _Rule("a number of microseconds, 10^4 to 10^15", _number(10**15, least=10**4)),
    "NOTIFY_SOCKET": _Rule(f"a path from / on or a name after @, at most {ADDRESS_BYTES} bytes", _is_address),
}
"""LISTEN_FDS is checked when the sockets are inherited, and only if LISTEN_PID is this process."""


def check_variables(environ: Mapping[str, str]) -> None:
    """Check the variables that are set.

    Raises:
        RelayError: RLY102, names the first variable with a wrong value.
    """
    for name, rule in _RULES.items():
        value = environ.get(name, "")
        if value and not rule.is_met(value):
            raise variable_error(name, f"must be {rule.words}, not {value[:_SHOWN]!a}")


# --- messages ---------------------------------------------------------------------------------------------------------


class Notifier:
    """State: the address or the channel of the manager, if there is one, and the interval of its watchdog.

    Args:
        address: of a service manager.
        watchdog: seconds, see below.
        channel: the worker's end of a socket pair, instead of an address.
    """

    def __init__(self, address: str = "", *, watchdog: float = 0.0, channel: socket.socket | None = None) -> None:
        self._address = address
        self._channel = channel
        self.watchdog = watchdog
        """Seconds within which the manager expects `WATCHDOG`; 0: never."""

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str], *, pid: int) -> Notifier:
        """Make a notifier from the checked environment, and remove its variables for children of this process."""
        address, channel = environ.pop("NOTIFY_SOCKET", ""), environ.pop(CHANNEL, "")
        interval, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_watched = interval and watched in ("", str(pid))
        return cls(address, watchdog=int(interval) / 1e6 if is_watched else 0.0, channel=_open_channel(channel))

    def environ(self) -> dict[str, str]:
        """Return the variables from which `from_environ` makes an equal notifier; not the channel."""
        watchdog = {"WATCHDOG_USEC": str(round(self.watchdog * 1e6))} if self.watchdog else {}
        return {"NOTIFY_SOCKET": self._address, **watchdog} if self._address else {}

    def send(self, *assignments: str, descriptor: int | None = None) -> None:
        """Send a message to the manager, if there is one; never block, and ignore errors.

        Args:
            assignments: lines of the message, like `READY=1`.
            descriptor: a copy goes to our own supervisor; it is not sent to a service manager.
        """
        with suppress(OSError):
            self.deliver(*assignments, descriptor=descriptor)

    def deliver(self, *assignments: str, descriptor: int | None = None) -> None:
        """Send a message as `send` does, but raise errors; never block.

        Raises:
            OSError: the message was not sent, for example because the queue is full.
        """
        message = "\n".join(assignments).encode()
        if self._channel:
            descriptors = [] if descriptor is None else [descriptor]
            socket.send_fds(self._channel, [message], descriptors, socket.MSG_DONTWAIT)
        elif self._address:
            self._send_to_address(message)

    def _send_to_address(self, message: bytes) -> None:
        to = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message, socket.MSG_DONTWAIT, to)

    def on_message(self, loop: AbstractEventLoop, read: Callable[[str], object]) -> None:
        """Let a loop call `read` with each message of our own supervisor; do nothing without one."""
        channel = self._channel
        if channel is None:
            return

        def receive() -> None:
            message = _receive(channel)
            if message:
                read(message)
            else:
                loop.remove_reader(channel.fileno())

        loop.add_reader(channel.fileno(), receive)

    def ready(self, status: str = "") -> None:
        """Report that the start or the reload is done."""
        self.send(READY, f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload begins; `ready` ends it."""
        self.send(RELOADING, f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Report that the stop has begun."""
        self.send(STOPPING, f"STATUS={status}")


def _receive(channel: socket.socket) -> str:
    """Return a waiting message; "" if there is none, or if the supervisor has gone."""
    try:
        return channel.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT).decode("utf-8", "replace")
    except OSError:
        return ""


def _open_channel(number: str) -> socket.socket | None:
    """Return the socket of a descriptor; children of this process do not inherit it."""
    if not number:
        return None
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    return channel


# --- signals ----------------------------------------------------------------------------------------------------------


def block() -> None:
    """Block the signals, over an exec too; threads started from now on never receive them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)


def unblock() -> None:
    """Unblock the signals and receive pending ones; the handlers must be installed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)


def is_stop_pending() -> bool:
    """Return whether a signal to stop is pending."""
    return not signal.sigpending().isdisjoint((signal.SIGTERM, signal.SIGINT))
