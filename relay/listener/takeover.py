"""Taking a UDP socket over from the daemon that is being replaced, without losing a packet.

pidfd_getfd(2), Linux 5.6, duplicates a descriptor of another process, for root and where ptrace is allowed. Both
processes then read one socket: each packet goes to one of them, and the kernel's queue outlives whoever ends first. So
the old daemon is stopped afterwards, and flushes what it has read. A daemon that reads without polling first may see
its socket become non-blocking meanwhile, as that is a property of what both share.
"""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.owner import find_owners
from relay.listener.sockets import UDP, Held, enlarge_buffer

if TYPE_CHECKING:
    from relay.listener.owner import Owner
    from relay.listener.sockets import Address

_PIDFD_GETFD: Final = 438
"""Number of the system call, the same on every architecture; Python has no name for it."""


def take_udp(address: Address, *, receive_buffer: int) -> Held:
    """Duplicate the socket that is bound to an address, and ask for so many bytes of buffer.

    Raises:
        RelayError: RLY101, nobody is known to hold it, or it cannot be taken.
    """
    refusal = "nobody is known to hold it"
    for owner in find_owners(address.port):
        try:
            sock = socket.socket(fileno=_duplicate(owner))
        except OSError as error:
            refusal = f"{owner} holds it: {error.strerror}"
            continue
        if _serves(sock, address):
            enlarge_buffer(sock, receive_buffer)
            return Held(UDP, sock, address, giver=str(owner))
        sock.close()
    problem = Problem(
        code="RLY101",
        message=f"cannot take udp {address} over: {refusal}",
        fix="run as root, or with CAP_SYS_PTRACE, beside the other process and not in a container of its own",
    )
    raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE)


def _duplicate(owner: Owner) -> int:
    """Return a descriptor of ours, closed on exec.

    Raises:
        OSError: we may not, or the process has gone.
    """
    with closing(os.fdopen(os.pidfd_open(owner.pid), "rb", buffering=0)) as process:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.syscall(_PIDFD_GETFD, process.fileno(), owner.fd, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def _serves(sock: socket.socket, address: Address) -> bool:
    """Say whether packets for the address come to the socket: it has it, or has every one of its family."""
    host = str(sock.getsockname()[0])
    if sock.type != socket.SOCK_DGRAM or sock.getsockname()[1] != address.port:
        return False
    if host == "::" and ":" not in address.host:
        with suppress(OSError):
            return not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    every = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - compared, not bound
    return host in (address.host, every)
