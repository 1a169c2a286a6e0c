"""The image's addresses, with IPv6 and without: packets over both arrive, and probes are answered."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from tests.meta.test_deploy import ENV
from tests.support.relay import environment, free_port, make_emulator, relay_process

WITHOUT_IPV6 = """
import errno, socket
class Socket(socket.socket):
    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        if family == socket.AF_INET6 and fileno is None:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, type, proto, fileno)
socket.socket = Socket
"""


def of_image(udp: int, admin: int) -> dict[str, str]:
    """The addresses that the image listens on, with other ports."""
    names = ("LISTEN_UDP", "ADMIN_LISTEN")
    values = (ENV[f"STATSD_RELAY_DEFAULT_{name}"] for name in names)
    listen, port = values
    return {names[0]: listen.replace("8125", str(udp)), names[1]: port.replace("8126", str(admin))}


async def ask(environ: dict[str, str], *options: str) -> tuple[int, str]:
    command = (sys.executable, "-m", "relay", "healthcheck", *options)
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


@pytest.mark.parametrize("has_ipv6", [True, False], ids=["both", "no-ipv6"])
async def test_the_image_listens_on_what_the_machine_has(has_ipv6, tmp_path):
    emulator = make_emulator()
    url = await emulator.start()
    udp, admin = free_port(), free_port(socket.SOCK_STREAM)
    environ = environment(url, tmp_path / "state", **of_image(udp, admin))
    (tmp_path / "sitecustomize.py").write_text("" if has_ipv6 else WITHOUT_IPV6)
    environ["PYTHONPATH"] = str(tmp_path)
    families = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")][: 2 if has_ipv6 else 1]
    with relay_process(environ, tmp_path / "log") as relay:
        for family, host in families:
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hits:1|c", (host, udp))
        async with asyncio.timeout(30):
            while emulator.total("hits") < len(families):
                await asyncio.sleep(0.05)
        started = relay.events("started")[0]["admin"]
        assert started == f"0.0.0.0:{admin}" + (f", [::]:{admin}" if has_ipv6 else "")
        for listen in (environ["STATSD_RELAY_ADMIN_LISTEN"], f"[::]:{admin},0.0.0.0:{admin}"):
            assert await ask({**environ, "STATSD_RELAY_ADMIN_LISTEN": listen}) == (0, "ok\n")
        for _, host in families:
            assert await ask(environ, "--admin", f"[{host}]:{admin}" if ":" in host else f"{host}:{admin}") == (
                0,
                "ok\n",
            )
        assert await relay.stop() == 0
    await emulator.stop()


async def test_one_family_alone_is_refused_where_the_machine_has_it_not(tmp_path):
    udp = free_port()
    environ = environment("http://127.0.0.1:1", tmp_path / "state", LISTEN_UDP=f"[::]:{udp}")
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_IPV6)
    environ["PYTHONPATH"] = str(tmp_path)
    command = (sys.executable, "-m", "relay", "run")
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, f"cannot bind udp [::]:{udp}" in done.stderr) == (71, True)
