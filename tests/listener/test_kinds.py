"""Sockets of every kind: opened once, kept over a change of the configuration, inherited."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from relay.errors import RelayError
from relay.listener.addresses import Address, SocketSpec, UnixPath
from relay.listener.sockets import close_sockets, open_sockets, open_tcp

KINDS = ("udp", "tcp", "dgram", "stream", "datadog")
CHILD = """
import json, os
from relay.listener.socket_activation import inherit_sockets
environ = dict(os.environ, LISTEN_PID=str(os.getpid()))
held = inherit_sockets(environ)
print(json.dumps([[one.kind, one.socket.getblocking(), one.socket.getsockname()] for one in held]))
print(json.dumps([name for name in environ if name.startswith("LISTEN")]))
"""


@pytest.fixture
def wanted(tmp_path) -> SocketSpec:
    with open_tcp(Address("127.0.0.1", 0)).socket as sock:
        address = Address("127.0.0.1", sock.getsockname()[1])
    paths = [UnixPath(kind, str(tmp_path / kind)) for kind in KINDS[2:]]
    return SocketSpec(udp=[address], receive_buffer=10_000, tcp=[address], unix=paths, unix_mode=0o600)


def names_in(directory) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_is_wanted_travels_as_json(wanted):
    wanted = wanted._replace(admin=[Address("::", 8126, optional=True)])
    assert SocketSpec.from_json(json.loads(json.dumps({**wanted._asdict(), "of a later release": 1}))) == wanted


def test_a_change_keeps_what_is_still_wanted(wanted, tmp_path):
    """The same address and port of TCP and UDP are two sockets."""
    held = open_sockets(wanted)
    assert [one.kind for one in held] == list(KINDS)
    fewer = wanted._replace(udp=[], unix=wanted.unix[1:], unix_mode=0o666)
    kept = open_sockets(fewer, held)
    assert kept == [held[1], held[3], held[4]]
    assert stat.S_IMODE((tmp_path / "stream").stat().st_mode) == 0o666
    close_sockets([one for one in held if one not in kept])
    assert names_in(tmp_path) == ["datadog", "stream"]
    again = open_sockets(wanted, kept)
    close_sockets(again)
    assert names_in(tmp_path) == []


def test_all_or_nothing(wanted, tmp_path):
    (tmp_path / "datadog").write_text("in the way")
    with pytest.raises(RelayError, match="RLY101"):
        open_sockets(wanted)
    assert names_in(tmp_path) == ["datadog"]
    (tmp_path / "datadog").unlink()
    close_sockets(open_sockets(wanted))


@pytest.mark.parametrize("names", [":".join(KINDS), "statsd-relay.socket:x:x:x:datadog"])
def test_a_process_that_inherits_sockets_knows_their_kinds(wanted, names):
    """systemd's default name of a descriptor is its unit's: only Datadog's framing needs its own name."""
    held = open_sockets(wanted)
    environ = {"PATH": os.environ["PATH"], "LISTEN_FDS": str(len(held)), "LISTEN_FDNAMES": names}
    fds = [one.socket.fileno() for one in held]
    # As systemd does it: from descriptor 3 on, whatever their numbers were here.
    command = "import os, sys; [os.dup2(fd, 103 + n) for n, fd in enumerate(map(int, sys.argv[1:]))];"
    command += "[os.dup2(103 + n, 3 + n) for n in range(len(sys.argv) - 1)];" + f"exec({CHILD!r})"
    done = subprocess.run(
        [sys.executable, "-c", command, *map(str, fds)], env=environ, pass_fds=fds, capture_output=True, check=True
    )
    found, left = map(json.loads, done.stdout.splitlines())
    assert [kind for kind, _, _ in found] == list(KINDS)
    assert not any(blocking for _, blocking, _ in found)
    assert [name if isinstance(name, str) else tuple(name) for *_, name in found] == [
        one.socket.getsockname() for one in held
    ]
    assert left == []
    close_sockets(held)
