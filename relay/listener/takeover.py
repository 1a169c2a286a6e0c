"""Taking the place of the daemon that is being replaced, without losing a packet, while it still runs.

pidfd_getfd(2), Linux 5.6, lends us its socket, for root and where ptrace is allowed. The socket is made one that shares
its address (SO_REUSEPORT can be set after bind), a socket of ours is bound beside it, and a filter that always returns
its number steers every packet there. The old daemon keeps what it has, flushes it as ever, and can be stopped at any
time: once it has gone the filter's answer is out of range, and the kernel falls back to the one socket that is left.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.owner import find_owners
from relay.listener.sockets import UDP, Held, bind_udp

if TYPE_CHECKING:
    from relay.listener.owner import Owner
    from relay.listener.sockets import Address

_PIDFD_GETFD: Final = 438
"""Number of the system call, the same on every architecture; Python has no name for it."""
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
"""socket(7)."""
_RETURN_CONSTANT: Final = 0x06
"""BPF_RET | BPF_K."""
_OURS: Final = 1
"""The group's sockets are numbered in the order they joined: the old one's is 0."""


def take_udp(address: Address, *, receive_buffer: int) -> Held:
    """Bind an address that another process has bound, and let every packet come here.

    Raises:
        RelayError: RLY101, nobody is known to hold it, or we may not.
    """
    refusal = "nobody is known to hold it"
    for owner in find_owners(address.port):
        try:
            with socket.socket(fileno=_borrow(owner)) as old:
                if _hears(old, address):
                    return Held(UDP, _bind_beside(old, address, receive_buffer), address, giver=str(owner))
        except OSError as error:
            refusal = f"{owner} holds it: {error.strerror}"
    problem = Problem(
        code="RLY101",
        message=f"cannot take udp {address} over: {refusal}",
        fix="run as root, or with CAP_SYS_PTRACE, beside the other process and not in a container of its own",
    )
    raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE)


def _borrow(owner: Owner) -> int:
    """Return a descriptor of ours for a socket of another process.

    Raises:
        OSError: we may not, or the process has gone.
    """
    process = os.pidfd_open(owner.pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.syscall(_PIDFD_GETFD, process, owner.fd, 0))
    finally:
        os.close(process)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def _hears(sock: socket.socket, address: Address) -> bool:
    """Say whether packets for the address come to the socket: it has it, or has every one of its family."""
    host = str(sock.getsockname()[0])
    if sock.type != socket.SOCK_DGRAM or sock.getsockname()[1] != address.port:
        return False
    if host == "::" and ":" not in address.host:
        with suppress(OSError):
            return not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    every = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - compared, not bound
    return host in (address.host, every)


def _bind_beside(old: socket.socket, address: Address, receive_buffer: int) -> socket.socket:
    """Bind a socket of our own where packets reach it first; until they do, the old one reads its share.

    Where ours is the narrower one (an address beside every address, IPv4 beside both), the kernel prefers it anyway.

    Raises:
        OSError: we may not; the old socket is as it was.
    """
    old.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        # Only sockets of one user share an address: ours belongs to the one who made the old one.
        sock = bind_udp(address, receive_buffer, shared=True, user=os.fstat(old.fileno()).st_uid)
    except OSError:
        old.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        raise
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN_CONSTANT, 0, 0, _OURS))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", 1, ctypes.addressof(program)))
    return sock
