"""`statsd-relay capture`: datagrams into a pcap file, with the nanosecond at which the kernel received each."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.running.admin_client import ask
from relay.cli.running.find import need_relay, say_source
from relay.cli.shared.interrupt import Interrupt
from relay.cli.shared.options import ADDRESS, DURATION, SIZE, json_option, relay_options
from relay.cli.shared.output import say
from relay.cli.shared.output_file import check_place, writable
from relay.cli.shared.progress import follow, progress
from relay.errors import Problem
from relay.listener.addresses import Address
from relay.listener.sockets import open_udp
from relay.listener.udp import read_meminfo
from relay.tools.traffic.recorder import Recorder
from relay.tools.traffic.recording import Recording
from relay.tools.traffic.temporary_tee import Copied, TemporaryTee
from relay.wording import as_size, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RECEIVE_BUFFER: Final = 64 * 2**20
_NO_PORT: Final = "stop the relay, and listen in its place with --listen ADDRESS:PORT"
_NO_ANSWER: Final = f"start the relay, or name its admin port with --admin; or {_NO_PORT}"
_NOTHING: Final = Copied()


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The result of a capture."""

    recording: Recording
    seconds: float
    is_full: bool
    kernel_drops: int
    copied: Copied = _NOTHING
    gaps: int = 0


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--for", "seconds", type=DURATION, help="Duration; default: until Ctrl-C.")
@click.option("--listen", type=ADDRESS, help="Receive on this address, instead of copies from the running relay.")
@click.option("--max-size", "limit", type=SIZE, default="1GiB", show_default=True, help="Stop at this file size.")
@relay_options
@click.option("--force", is_flag=True, help="Replace an existing FILE.")
@json_option("Print the summary as JSON.")
def capture(  # noqa: PLR0913 - its options
    file: Path,
    seconds: float | None,
    listen: tuple[str, int] | None,
    limit: int,
    admin: Sequence[tuple[str, int]] | None,
    path: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Record what the running relay receives in the pcap file FILE, for replay, tcpdump or Wireshark.

    The lines are your users' data, so FILE is readable by you only.
    """
    check_place(file, force=force)
    address = Address(*listen) if listen else None
    relay = None if address else need_relay(admin, path, fix=_NO_ANSWER)
    if relay:
        say_source(relay, as_json=as_json)
    port = relay.reached() if relay else None
    captured = record(file, address, port, seconds=math.inf if seconds is None else seconds, limit=limit)
    if as_json:
        source = relay.as_json() if relay else {"relay": None, "listen": str(address)}
        say(json.dumps({**summarise(file, captured), "source": source}, indent=2))
    else:
        say(in_words(file, captured))
    for problem in find_losses(captured):
        say(str(problem), err=True)


def post_tee(admin: tuple[str, int], body: bytes) -> tuple[int, str]:
    """Ask the relay for copies; return the status and the body of its answer.

    Raises:
        RelayError: RLY101, no relay answers.
    """
    return ask(admin, "/api/v1/tee", post=body, fix=_NO_ANSWER)


def record(
    file: Path, address: Address | None, admin: tuple[str, int] | None, *, seconds: float, limit: int
) -> Captured:
    """Bind a socket, ask the relay at `admin` for copies if given, and record until the end.

    Raises:
        RelayError: the address cannot be bound, no relay answers, or the file cannot be written.
    """
    [held] = open_udp(address or Address("127.0.0.1", 0), receive_buffer=_RECEIVE_BUFFER)
    with held.socket as sock, Interrupt() as interrupt:
        recorder = Recorder(sock, interrupt)
        tee = TemporaryTee(partial(post_tee, admin), to=f"127.0.0.1:{sock.getsockname()[1]}") if admin else None
        with tee or nullcontext(), writable(file) as fd:
            recording, began = Recording(fd, limit=limit), interrupt.monotonic()
            say(f"capturing {'from the relay' if admin else f'on {address}'} to {file}", err=True)
            with progress("capturing", limit if seconds == math.inf else round(seconds * 1000)) as step:
                by_size, by_time = lambda: recording.size, lambda: (interrupt.monotonic() - began) * 1000
                advance = follow(step, by_size if seconds == math.inf else by_time)
                recorder.run(recording, seconds=seconds, progress=advance)
            captured = Captured(
                recording=recording,
                seconds=interrupt.monotonic() - began,
                is_full=recorder.is_full,
                kernel_drops=read_meminfo(sock)[8],
            )
    return replace(captured, copied=tee.copied, gaps=tee.gaps) if tee else captured


def summarise(file: Path, captured: Captured) -> dict[str, Any]:
    """Return what `--json` prints."""
    recording = captured.recording
    return {
        "file": str(file),
        "bytes": recording.size,
        "datagrams": recording.datagrams,
        "lines": recording.lines,
        "seconds": round(captured.seconds, 3),
        "first_ns": recording.first or None,
        "last_ns": recording.last or None,
        "full": captured.is_full,
        "kernel_drops": captured.kernel_drops,
        "copy_drops": captured.copied.dropped,
        "copy_gaps": captured.gaps,
    }


def in_words(file: Path, captured: Captured) -> str:
    """Return the summary as one sentence."""
    recording = captured.recording
    full = "; stopped at --max-size" if captured.is_full else ""
    return (
        f"{plural(recording.datagrams, 'datagram')}, {plural(recording.lines, 'line')} in {captured.seconds:.1f} s"
        f" to {file}, {as_size(recording.size)}{full}"
    )


def find_losses(captured: Captured) -> Iterator[Problem]:
    """Yield a warning for each kind of datagrams that are missing from the file."""
    warning = partial(Problem, severity="warning")
    if captured.kernel_drops:
        message = f"the kernel dropped {plural(captured.kernel_drops, 'datagram')}: they are not in the file"
        fix = f"run capture as root, or: sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}"
        yield warning(code="RLY202", message=message, fix=fix)
    if captured.copied.dropped:
        message = f"the relay could not copy {plural(captured.copied.dropped, 'datagram')}: they are not in the file"
        fix = "the machine is busy: capture a shorter time, or with --listen in the relay's place"
        yield warning(code="RLY202", message=message, fix=fix)
    if captured.gaps:
        message = f"the relay did not answer, or was replaced, {plural(captured.gaps, 'time')}: the file has gaps"
        yield warning(code="RLY101", message=message)
