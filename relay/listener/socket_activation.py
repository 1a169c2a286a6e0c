"""Sockets as they travel from one process to the next, with systemd's protocol.

Descriptors from 3 on, counted by LISTEN_FDS, named by LISTEN_FDNAMES, meant for the process LISTEN_PID. The supervisor
gives them to each of its workers, systemd to the one it starts. Imported by both, so it imports next to nothing.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Final

from relay import anonymous_file
from relay.errors import ExitCode, Problem, RelayError
from relay.listener.addresses import ADMIN, DATADOG, DGRAM, STREAM, TCP, UDP, BoundSocket

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

FIRST_FD: Final = 3
"""sd_listen_fds(3): SD_LISTEN_FDS_START."""
SUPERVISOR: Final = "RELAY_SUPERVISOR"
"""Variable beside systemd's: the pid of our supervisor."""
INGEST: Final = "RELAY_INGEST"
"""And the settings with which its worker begins to read."""
SUCCESSOR: Final = "RELAY_SUCCESSOR"
"""And what a worker before it has used, as JSON: that was accepted, whatever became of it."""
TEXT: Final = "RELAY_CONFIGURATION"
"""And the descriptor of the text of the configuration file that is in force, whatever is on disk."""
_DIGITS_MOST: Final = 6
"""Of a number of descriptors."""


def accepted(state: str) -> str:
    """Return the value of SUCCESSOR, for the state directory that is in use; "": there is none."""
    return json.dumps({"state": state})


def accepted_state(value: str) -> str | None:
    """Return the state directory of a value of SUCCESSOR; None: nothing was accepted, by this or another release."""
    state = json.loads(value).get("state") if value else None
    return state if isinstance(state, str) else None


def are_inherited(environ: MutableMapping[str, str]) -> bool:
    """Say whether this process was given sockets."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") not in ("", "0")


def take_inherited(environ: MutableMapping[str, str]) -> list[BoundSocket]:
    """Take over the sockets this process was given; a child of it is not given them again.

    Returns:
        Those of a kind that is known, ready for reading without blocking. Sockets of an address that has several stay
        in their order.

    Raises:
        RelayError: RLY101, what the environment promises is not there.
    """
    promised = environ.pop("LISTEN_FDS", "0") if are_inherited(environ) else "0"
    count = int(promised) if promised.isdecimal() and len(promised) < _DIGITS_MOST else -1
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PID", None)
    if count < 0:
        raise _broken(f"LISTEN_FDS={promised[:20]} is no number of sockets")
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
        raise _broken(f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}") from error


def _broken(message: str) -> RelayError:
    fix = "unset LISTEN_FDS and LISTEN_PID, or start it by its socket unit"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)


def unusable(name: str, complaint: str) -> RelayError:
    """Return the error of a variable that its writer would have set to something else."""
    giver = "the relay" if name.startswith("RELAY_") else "a service manager"
    fix = f"unset {name}: {giver} sets it for a process that it starts"
    problem = Problem(code="RLY102", message=f"{name} {complaint}", fix=fix, source="environment")
    return RelayError(problem, exit_code=ExitCode.CONFIGURATION)


def _kind_of(sock: socket.socket, name: str) -> str:
    """Believe the name if it is one of ours: systemd's default is the name of its unit."""
    is_datagram = sock.type == socket.SOCK_DGRAM
    if sock.family == socket.AF_UNIX:
        return DGRAM if is_datagram else DATADOG if name == DATADOG else STREAM
    return UDP if is_datagram else ADMIN if name == ADMIN else TCP


def give(held: Sequence[BoundSocket], environ: MutableMapping[str, str]) -> None:
    """Put sockets where the program that this process becomes next by exec finds them; nothing else may follow."""
    import fcntl  # noqa: PLC0415 - of the child alone

    above = FIRST_FD + len(held)
    copies = [fcntl.fcntl(one.socket.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for one in held]
    for index, copy in enumerate(copies):
        os.dup2(copy, FIRST_FD + index, inheritable=True)
    environ["LISTEN_PID"] = str(os.getpid())
    environ["LISTEN_FDS"] = str(len(held))
    environ["LISTEN_FDNAMES"] = ":".join(one.kind for one in held)


def give_descriptor(descriptor: int, name: str, environ: MutableMapping[str, str], *, sockets: int) -> None:
    """Let the program that this process becomes next by exec find it by a variable, beside so many sockets."""
    import fcntl  # noqa: PLC0415 - of the child alone

    environ[name] = str(fcntl.fcntl(descriptor, fcntl.F_DUPFD, FIRST_FD + sockets))


def take_text(environ: MutableMapping[str, str]) -> str | None:
    """Return the configuration that this process was given; None: it is to read what is on disk."""
    number = environ.pop(TEXT, "")
    if not number:
        return None
    try:
        return anonymous_file.read(int(number))
    finally:
        os.close(int(number))
