"""Which implementation runs: never chosen silently."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, Unpack

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from relay.hotpath.partial import Recovery
    from relay.hotpath.settings import Settings
    from relay.model import ClosedWindow, Identity, Newcomer, RejectedLine, Resolution, Row, Series, Sink, Tally

_NATIVE = "relay.hotpath.native._native"


class Reader(Protocol):
    """One socket's reader: `run` is the body of a thread and ends once its stop descriptor is readable."""

    @property
    def datagrams(self) -> int:
        """Received so far."""
        ...

    def run(self) -> None:
        """Read; the GIL is not held."""


class HotPath(Protocol):
    """The seam: one contract, two implementations. PythonHotPath (aggregator.py) documents every method."""

    name: str
    """`native` or `python`."""

    def feed(self, datagram: bytes, now: float, peer: tuple[str, int] | None = None) -> None: ...  # noqa: D102
    def reject(self, line: bytes, reason: str, now: float, peer: tuple[str, int] | None = None) -> None: ...  # noqa: D102
    def drain(self, fd: int, now: float) -> int: ...  # noqa: D102
    def reader(self, fd: int, stop_fd: int, delay: float) -> Reader | None: ...  # noqa: D102
    def tee(self, fds: Sequence[int]) -> None: ...  # noqa: D102
    def tee_counts(self) -> list[tuple[int, int]]: ...  # noqa: D102
    def unresolved(self, limit: int) -> list[Identity]: ...  # noqa: D102
    def newcomers(self) -> list[Newcomer]: ...  # noqa: D102
    def resolve(self, answers: Sequence[tuple[Identity, Resolution | Sink]]) -> None: ...  # noqa: D102
    def open_window(self, start: int) -> None: ...  # noqa: D102
    def close_window(self, next_start: int, *, folds: bool = False, renames: bool = False) -> None: ...  # noqa: D102
    def abandon_names(self) -> bool: ...  # noqa: D102
    def settled(self) -> bool: ...  # noqa: D102
    def closed_window(self) -> ClosedWindow: ...  # noqa: D102
    def export(self, *, changed: bool = False) -> Iterator[tuple[int, bytes]]: ...  # noqa: D102
    def export_gauges(self) -> Iterator[bytes]: ...  # noqa: D102
    def merge(self, exported: bytes) -> int: ...  # noqa: D102
    def recover(self, checkpoint: bytes) -> Recovery: ...  # noqa: D102
    def snapshot(self) -> Iterator[list[Row]]: ...  # noqa: D102
    def gauges(self) -> Iterator[list[tuple[Series, float]]]: ...  # noqa: D102
    def list_series(self, first: int, count: int) -> list[Series]: ...  # noqa: D102
    def forget(self, series: Iterable[Series]) -> list[Series]: ...  # noqa: D102
    def configure(self, **settings: Unpack[Settings]) -> None: ...  # noqa: D102
    def rejects(self) -> list[RejectedLine]: ...  # noqa: D102
    def tap(self, pattern: bytes | None) -> None: ...  # noqa: D102
    def tapped(self) -> list[bytes]: ...  # noqa: D102
    def allow(self, cidrs: Iterable[str]) -> None: ...  # noqa: D102
    def admits(self, peer: tuple[str, int] | None) -> bool: ...  # noqa: D102
    def tally(self) -> Tally: ...  # noqa: D102


def has_native() -> bool:
    """Say whether the native hot path is installed."""
    return find_spec(_NATIVE) is not None


def choose_name(wanted: str) -> str:
    """Return what `[listen] hotpath` comes to: `native` or `python`.

    Raises:
        RelayError: RLY900, `native` was asked for and is not installed.
    """
    if wanted == "native" and not has_native():
        problem = Problem(
            code="RLY900",
            message="the native hot path is not installed",
            fix='install a C compiler and reinstall statsd-relay, or set [listen] hotpath = "python", the slower one',
        )
        raise RelayError(problem, exit_code=ExitCode.CONFIGURATION)
    return "native" if wanted != "python" and has_native() else "python"


def make_hotpath(name: str, **settings: Unpack[Settings]) -> HotPath:
    """Make the hot path of that name, see `choose_name`."""
    return _implementation(name)(**settings)


def tell_of_hotpath(wanted: str, name: str) -> None:
    """Warn if the slower one runs although nobody asked for it."""
    if wanted == "auto" and name == "python":
        import structlog  # noqa: PLC0415 - the supervisor's child asks for the name, and logs nothing

        fix = 'install a C compiler and reinstall, or set [listen] hotpath = "python" to accept the slower one'
        structlog.get_logger("relay").warning("RLY900 running without the native hot path", fix=fix)


def _implementation(name: str) -> Callable[..., HotPath]:
    """Import only what runs: a start must not pay for the other one."""
    if name == "native":
        from relay.hotpath.native._native import NativeHotPath  # noqa: PLC0415

        return NativeHotPath
    from relay.hotpath.aggregator import PythonHotPath  # noqa: PLC0415

    return PythonHotPath
