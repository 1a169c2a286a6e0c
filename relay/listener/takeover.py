"""Taking the place of the daemon that is being replaced, without losing a packet, while it still runs.

pidfd_getfd(2), Linux 5.6, lends us its socket, for root and where ptrace is allowed. The socket is made one that shares
its address (SO_REUSEPORT can be set after bind), a socket of ours is bound beside it, and a filter that always returns
its number steers every packet there. The old daemon keeps what it has, flushes it as ever, and can be stopped at any
time: once it has gone the filter's answer is out of range, and the kernel falls back to the one socket that is left.

A process may have several sockets, which end together with it. Of several processes one could end alone, which would
give ours another number, and so they are refused. So is another relay: it has a way of its own to be replaced.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.addresses import UDP, BoundSocket
from relay.listener.bind import bind_udp
from relay.listener.socket_owner import find_owners, find_sharing, held_by, is_relay

if TYPE_CHECKING:
    from relay.listener.addresses import Address
    from relay.listener.socket_owner import SocketOwner

_PIDFD_GETFD: Final = 438
"""Number of the system call, the same on every architecture; Python has no name for it."""
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
"""socket(7)."""
_RETURN_CONSTANT: Final = 0x06
"""BPF_RET | BPF_K."""
_MAY: Final = "run as root, or with CAP_SYS_PTRACE, beside the other process and not in a container of its own"


def take_udp(address: Address, *, receive_buffer: int) -> BoundSocket:
    """Bind an address that another process has bound, and let every packet come here.

    Raises:
        RelayError: RLY101, nobody is known to hold it, or we may not.
    """
    refusal, fix = "nobody is known to hold it", _MAY
    ours = held_by(os.getpid())
    for owner in find_owners(address.port):
        try:
            with socket.socket(fileno=_borrow(owner)) as old:
                if owner.pid == os.getpid() or not _hears(old, address):
                    continue
                sharing = find_sharing(os.fstat(old.fileno()).st_ino) - ours
                if is_relay(owner):
                    refusal, fix = f"{owner} is a relay, too", "stop it: what it has is kept and goes on"
                elif not sharing <= held_by(owner.pid):
                    refusal, fix = f"{owner} is one of several processes that share it", "stop all but one of them"
                else:
                    keeps = _kept(old, address)
                    sock = _bind_beside(old, address, receive_buffer, others=0 if keeps else len(sharing))
                    return BoundSocket(UDP, sock, address, giver=str(owner), keeps=keeps)
        except OSError as error:
            refusal, fix = f"{owner} holds it: {error.strerror}", _MAY
    problem = Problem(code="RLY101", message=f"cannot take udp {address} over: {refusal}", fix=fix)
    raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE)


def _borrow(owner: SocketOwner) -> int:
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
    if ":" not in address.host and _is_dual(sock):
        return True
    every = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - compared, not bound
    return host in (address.host, every)


def _is_dual(sock: socket.socket) -> bool:
    """Say whether the socket has every address of IPv4 and IPv6."""
    with suppress(OSError):
        return sock.getsockname()[0] == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return False


def _kept(old: socket.socket, address: Address) -> str:
    """Return the address whose other packets the old socket goes on to get; "" if there are none."""
    host = str(old.getsockname()[0])
    return "" if host == address.host else str(address._replace(host=host))


def _bind_beside(old: socket.socket, address: Address, receive_buffer: int, *, others: int) -> socket.socket:
    """Bind a socket of our own where packets reach it first; until they do, the old ones read their share.

    Where ours is the narrower one (an address beside every address, IPv4 beside both), the kernel prefers it anyway.

    Args:
        old: one of the sockets that have the address; their process has them all.
        address: ours.
        receive_buffer: bytes asked for.
        others: how many of them have ours. Such are numbered in the order they came: ours is the last.

    Raises:
        OSError: we may not; the old sockets are as they were.
    """
    was_shared = old.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    with ExitStack() as undo:
        old.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        undo.callback(old.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEPORT, was_shared)
        # Only sockets of one user share an address, and of those for :: only such as hear IPv4 as well, or do not.
        user, is_dual = os.fstat(old.fileno()).st_uid, address.host == "::" and _is_dual(old)
        sock = bind_udp(address, receive_buffer, shared=True, user=user, dual=is_dual)
        undo.callback(sock.close)
        program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN_CONSTANT, 0, 0, others))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", 1, ctypes.addressof(program)))
        undo.pop_all()
    return sock
