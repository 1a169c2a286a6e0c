"""A relay on a socket that its starter holds, as with a socket unit of systemd."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from tests.support.relay import RelayProcess


class Holder:
    """A stand-in for a socket unit of systemd: it holds the socket and starts the service on it."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        self.port = self.socket.getsockname()[1]

    def command(self) -> tuple[str, ...]:
        """Replace this process by the relay with the socket at descriptor 3, as in systemd's protocol."""
        code = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='udp');"
            "os.execv(sys.executable, [sys.executable, '-m', 'relay', 'run'])"
        )
        return (sys.executable, "-c", code, str(self.socket.fileno()))


class HeldRelay(RelayProcess):
    """A relay that gets its sockets from its starter."""

    def __init__(self, environ, log, holder: Holder) -> None:
        self._holder = holder
        os.set_inheritable(holder.socket.fileno(), True)
        super().__init__(environ, log, command=holder.command())

    def begin(self) -> subprocess.Popen:
        """Start a process on the socket, without waiting."""
        with self.log.open("ab") as output:
            fds = [self._holder.socket.fileno()]
            return subprocess.Popen(self.command, env=self.environ, stdout=output, stderr=output, cwd="/", pass_fds=fds)

    def start(self) -> None:
        popen = subprocess.Popen
        subprocess.Popen = lambda *args, **kw: popen(*args, **kw, pass_fds=[self._holder.socket.fileno()])
        try:
            super().start()
        finally:
            subprocess.Popen = popen
