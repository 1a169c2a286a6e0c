"""Passes bound sockets and the text of the configuration from one process to the next; defines RELAY_* variables.

Sockets are passed by systemd's socket activation protocol. The descriptors begin at 3. LISTEN_FDS is their number,
LISTEN_FDNAMES their names, LISTEN_PID the process they are meant for. The supervisor passes sockets to its workers;
systemd passes them to the process that it starts.

A text is passed in an anonymous file in memory (memfd_create), by its descriptor. A configuration may hold a secret, so
the supervisor and its children exchange it neither on disk nor in a variable. The file takes a text of any length, and
is complete before its descriptor is passed.

Supervisor and worker import this module before packets are read, so it imports little.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.addresses import ADMIN, DATADOG, DGRAM, STREAM, TCP, UDP, BoundSocket

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

FIRST_FD: Final = 3
"""sd_listen_fds(3): SD_LISTEN_FDS_START."""
SUPERVISOR: Final = "RELAY_SUPERVISOR"
"""Environment variable: pid of the supervisor."""
INGEST: Final = "RELAY_INGEST"
"""Environment variable: the settings with which a worker begins to read its sockets."""
ACCEPTED_STATE: Final = "RELAY_SUCCESSOR"
"""Environment variable: JSON with the state directory that an earlier worker used, and so proved usable."""
GENERATION: Final = "RELAY_GENERATION"
"""Environment variable: the generation of the configuration in force."""
DEATHS: Final = "RELAY_DEATHS"
"""Environment variable: JSON with the times and reasons of the latest ends of workers that were not asked for."""
CONFIGURATION_FD: Final = "RELAY_CONFIGURATION"
"""Environment variable: descriptor of the configuration in force; the file on disk may differ."""
_DIGITS_MAX: Final = 5
"""Maximum number of digits in LISTEN_FDS."""


def encode_state_directory(state: str) -> str:
    """Return the value of ACCEPTED_STATE for a state directory; "" means that there is none."""
    return json.dumps({"state": state})


def decode_state_directory(value: str) -> str | None:
    """Return the state directory in a value of ACCEPTED_STATE; None if the value is empty or has no state directory."""
    state = json.loads(value).get("state") if value else None
    return state if isinstance(state, str) else None


def encode_deaths(deaths: Iterable[tuple[float, str]]) -> str:
    """Return the value of DEATHS: pairs of a wall time and a reason, oldest first."""
    return json.dumps({"deaths": list(deaths)})


def decode_deaths(value: str) -> list[tuple[float, str]]:
    """Return the pairs in a value of DEATHS; none if the value is empty, or another program has set it."""
    found = json.loads(value).get("deaths") if value else None
    pairs = found if isinstance(found, list) else []
    try:
        return [(float(at), str(reason)) for at, reason in pairs]
    except (TypeError, ValueError):
        return []


def has_inherited_sockets(environ: MutableMapping[str, str]) -> bool:
    """Return whether this process inherited sockets."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") not in ("", "0")


def inherit_sockets(environ: MutableMapping[str, str]) -> list[BoundSocket]:
    """Inherit the sockets that were passed to this process; its children do not inherit them again.

    Returns:
        The sockets, non-blocking, in the order they were passed.

    Raises:
        RelayError: RLY101, LISTEN_FDS is not a number, or a descriptor is not a socket.
    """
    promised = environ.pop("LISTEN_FDS", "0") if has_inherited_sockets(environ) else "0"
    count = int(promised) if promised.isdecimal() and len(promised) <= _DIGITS_MAX else -1
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PID", None)
    if count < 0:
        raise _activation_error(f"LISTEN_FDS={promised[:20]} is no number of sockets")
    found: list[BoundSocket] = []
    for index, fd in enumerate(range(FIRST_FD, FIRST_FD + count)):
        sock = _socket_of(fd)
        sock.setblocking(False)
        sock.set_inheritable(False)
        found.append(BoundSocket(_kind_of(sock, names[index] if index < len(names) else ""), sock))
    return found


def _socket_of(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise _activation_error(f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}") from error


def _activation_error(message: str) -> RelayError:
    fix = "unset LISTEN_FDS and LISTEN_PID, or start it by its socket unit"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)


def variable_error(name: str, complaint: str) -> RelayError:
    """Return the error (RLY102) for an environment variable with an unusable value."""
    setter = "the relay" if name.startswith("RELAY_") else "a service manager"
    fix = f"unset {name}: {setter} sets it for a process that it starts"
    problem = Problem(code="RLY102", message=f"{name} {complaint}", fix=fix, source="environment")
    return RelayError(problem, exit_code=ExitCode.CONFIGURATION)


def _kind_of(sock: socket.socket, name: str) -> str:
    """Return the kind of a socket from its type and family.

    The names `admin` and `datadog` select a kind. Other names, such as systemd's default unit names, are ignored.
    """
    is_datagram = sock.type == socket.SOCK_DGRAM
    if sock.family == socket.AF_UNIX:
        return DGRAM if is_datagram else DATADOG if name == DATADOG else STREAM
    return UDP if is_datagram else ADMIN if name == ADMIN else TCP


def pass_sockets(held: Sequence[BoundSocket], environ: MutableMapping[str, str]) -> None:
    """Pass sockets to the program that this process executes next; exec must follow at once."""
    import fcntl  # noqa: PLC0415 - needed in the child only

    above = FIRST_FD + len(held)
    copies = [fcntl.fcntl(one.socket.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for one in held]
    for index, copy in enumerate(copies):
        os.dup2(copy, FIRST_FD + index, inheritable=True)
    environ["LISTEN_PID"] = str(os.getpid())
    environ["LISTEN_FDS"] = str(len(held))
    environ["LISTEN_FDNAMES"] = ":".join(one.kind for one in held)


def create_text(text: str = "") -> int:
    """Create an anonymous file that holds the text; return its descriptor, which the caller closes.

    Raises:
        OSError: no memory is left, or memfd_create is not allowed.
    """
    descriptor = os.memfd_create("statsd-relay")
    append_text(descriptor, text)
    return descriptor


def append_text(descriptor: int, text: str) -> None:
    """Append the text to an anonymous file.

    Raises:
        OSError: no memory is left.
    """
    left = text.encode()
    while left:
        left = left[os.write(descriptor, left) :]


def read_text(descriptor: int, *, most: int = 1 << 24) -> str:
    """Return the content of an anonymous file from its beginning, at most `most` bytes."""
    return os.pread(descriptor, min(most, os.fstat(descriptor).st_size), 0).decode("utf-8", "replace")


def pass_descriptor(descriptor: int, name: str, environ: MutableMapping[str, str], *, sockets: int) -> None:
    """Pass a descriptor to the program that this process executes next; variable `name` holds its new number.

    The new number is above those of the `sockets` that `pass_sockets` passes.
    """
    import fcntl  # noqa: PLC0415 - needed in the child only

    environ[name] = str(fcntl.fcntl(descriptor, fcntl.F_DUPFD, FIRST_FD + sockets))


def receive_configuration(environ: MutableMapping[str, str]) -> str | None:
    """Return the text of the configuration passed to this process; None: read the file on disk."""
    number = environ.pop(CONFIGURATION_FD, "")
    if not number:
        return None
    try:
        return read_text(int(number))
    finally:
        os.close(int(number))
