"""Takes a UDP address over from another daemon that still runs, without losing a packet (`--take-over`).

pidfd_getfd(2), Linux 5.6, duplicates the other daemon's socket into this process; it needs root or the right to ptrace.
SO_REUSEPORT is set on that socket, which is possible after bind, and a socket of ours is bound to the same address. A
BPF filter that always returns our index in the reuseport group steers every packet to our socket. The other daemon
flushes what it has received and can be stopped at any time: after its exit our index is out of range, and the kernel
falls back to the one socket that is left.

Several sockets of one process are supported: they close together. Several processes on one address are refused: if one
exits, our index in the reuseport group changes. Another relay is refused: a relay is replaced by stopping it.
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
from relay.listener.socket_owner import find_owner, find_owners, find_sharing, held_by, is_relay

if TYPE_CHECKING:
    from relay.listener.addresses import Address
    from relay.listener.socket_owner import SocketOwner

_PIDFD_GETFD: Final = 438
"""Number of the system call, the same on every architecture; Python does not wrap it."""
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
"""socket(7)."""
_RETURN_CONSTANT: Final = 0x06
"""BPF_RET | BPF_K."""
_MAY: Final = "run as root, or with CAP_SYS_PTRACE, beside the other process and not in a container of its own"


def take_over_udp(address: Address, *, receive_buffer: int) -> BoundSocket:
    """Bind an address that another process has bound, and steer every packet to the new socket.

    Raises:
        RelayError: RLY101, the owner is unknown, is another relay, is one of several, or its socket may not be used.
    """
    refusal, fix = "no process is known to hold it", _MAY
    ours = held_by(os.getpid())
    for owner in find_owners(address.port):
        try:
            with socket.socket(fileno=_borrow(owner)) as old:
                if owner.pid == os.getpid() or not _receives_for(old, address):
                    continue
                sharing = find_sharing(os.fstat(old.fileno()).st_ino) - ours
                if is_relay(owner):
                    refusal = f"{find_owner(address.port) or owner} is a relay, too"
                    fix = (
                        "stop it: what it has is kept and goes on; or reload --upgrade starts this release in its place"
                    )
                elif not sharing <= held_by(owner.pid):
                    refusal, fix = f"{owner} is one of several processes that share it", "stop all but one of them"
                else:
                    still = _still_receives(old, address)
                    sock = _bind_beside(old, address, receive_buffer, others=0 if still else len(sharing))
                    return BoundSocket(UDP, sock, address, previous_owner=str(owner), still_receives=still)
        except OSError as error:
            refusal, fix = f"{owner} holds it: {error.strerror}", _MAY
    problem = Problem(code="RLY101", message=f"cannot take udp {address} over: {refusal}", fix=fix)
    raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE)


def _borrow(owner: SocketOwner) -> int:
    """Duplicate the descriptor of another process's socket into this process; return the new one.

    Raises:
        OSError: it is not permitted, or the process has ended.
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


def _receives_for(sock: socket.socket, address: Address) -> bool:
    """Return whether the socket receives packets for the address: it is bound to it or to the wildcard address."""
    host = str(sock.getsockname()[0])
    if sock.type != socket.SOCK_DGRAM or sock.getsockname()[1] != address.port:
        return False
    if ":" not in address.host and _is_dual(sock):
        return True
    every = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - compared, not bound
    return host in (address.host, every)


def _is_dual(sock: socket.socket) -> bool:
    """Return whether the socket is bound to `::` and receives IPv4 as well."""
    with suppress(OSError):
        return sock.getsockname()[0] == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return False


def _still_receives(old: socket.socket, address: Address) -> str:
    """Return the wildcard address on which the old socket still receives; "" if every packet comes to our socket."""
    host = str(old.getsockname()[0])
    return "" if host == address.host else str(address._replace(host=host))


def _bind_beside(old: socket.socket, address: Address, receive_buffer: int, *, others: int) -> socket.socket:
    """Bind our own socket beside the old ones and steer every packet to it; until then all of them share the packets.

    If our address is more specific (one address beside the wildcard, IPv4 beside a dual stack), the kernel prefers it
    without a filter.

    Args:
        old: one of the old sockets; a single process holds all of them.
        address: address to bind.
        receive_buffer: bytes asked for.
        others: number of old sockets with exactly this address; the index of our socket, which joins the group last.

    Raises:
        OSError: it is not permitted; the old sockets are unchanged.
    """
    was_shared = old.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    with ExitStack() as undo:
        old.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        undo.callback(old.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEPORT, was_shared)
        # SO_REUSEPORT needs the same user on all sockets of the address; on `::` also the same IPV6_V6ONLY.
        user, is_dual = os.fstat(old.fileno()).st_uid, address.host == "::" and _is_dual(old)
        sock = bind_udp(address, receive_buffer, shared=True, user=user, dual=is_dual)
        undo.callback(sock.close)
        program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN_CONSTANT, 0, 0, others))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", 1, ctypes.addressof(program)))
        undo.pop_all()
    return sock
