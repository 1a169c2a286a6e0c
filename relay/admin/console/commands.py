"""The text commands of the reference daemon's management port, with its replies, byte for byte (statsd/statsd 0.9).

Differences: maps show the open window instead of the last flush, and timers show `[]`, since the relay has no list of
their values. Names, settings, deletions and changes of `health` are answered on this machine only; a remote client
gets `ERROR`, or the state of `health` unchanged. `health down` changes the reply of `health`, a metric and the log, but
not the liveness and readiness of the relay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from relay.admin.console.maps import END, Maps
from relay.admin.console.node_format import number
from relay.config.types import Seconds, Size, mask_urls, to_toml
from relay.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.admin.console.maps import Reply
    from relay.admin.protocols import Relay

_HELP: Final = "Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit\n\n"
_ERROR: Final = "ERROR\n"


class Console:
    """State: none; it reads and changes the relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        maps = Maps(relay)
        self._anywhere: dict[str, Callable[[], str]] = {
            "help": lambda: _HELP,
            "health": self._health,
            "stats": self._stats,
        }
        self._here: dict[str, Callable[[Sequence[str]], Reply]] = {
            "health": self._set_health,
            "config": self._config,
            "counters": lambda _: maps.show(Kind.COUNTER),
            "timers": lambda _: maps.show(Kind.TIMER),
            "gauges": lambda _: maps.show(Kind.GAUGE),
            "delcounters": lambda names: maps.delete(Kind.COUNTER, names),
            "deltimers": lambda names: maps.delete(Kind.TIMER, names),
            "delgauges": lambda names: maps.delete(Kind.GAUGE, names),
        }

    async def answer(self, command: str, *, is_local: bool) -> Reply:
        """Yield the reply to one command, piece by piece; the session handles `quit`.

        Args:
            command: a line without blanks around it; one blank separates two arguments, as in the reference.
            is_local: whether the command comes from this machine.
        """
        word, *arguments = command.split(" ")
        if is_local and word in self._here:
            async for text in self._here[word](arguments):
                yield text
        else:
            yield self._anywhere[word]() if word in self._anywhere else _ERROR

    # --- for any client -----------------------------------------------------------------------------------------------

    def _health(self) -> str:
        return f"health: {'down' if self._relay.status.is_health_down else 'up'}\n"

    def _stats(self) -> str:
        """Return the reply of `stats`; `last_` figures are ages in seconds.

        `last_exception` is the Unix time until the first exception, as in statsd.
        """
        ledger, tally = self._relay.context.ledger, self._relay.hotpath.tally()
        backend, wall = self._relay.config.cloud.provider, self._relay.context.clock.wall()
        figures = {
            "uptime": int(self._relay.status.uptime),
            "messages.last_msg_seen": self._since(tally.last_at),
            "messages.bad_lines_seen": sum(tally.rejected.values()),
            f"{backend}.last_flush": self._since(ledger.accepted_at),
            f"{backend}.last_exception": max(0, int(wall - ledger.failed_at)),
            f"{backend}.flush_time": round(ledger.request_seconds.last * 1000),
            f"{backend}.flush_length": ledger.request_bytes,
        }
        return "".join(f"{name}: {value}\n" for name, value in figures.items()) + END

    def _since(self, moment: float) -> int:
        """Return the seconds since a moment; since the start if the moment is 0 (it has not come yet)."""
        wall = self._relay.context.clock.wall()
        return max(0, int(wall - moment if moment else self._relay.status.uptime))

    # --- for this machine ---------------------------------------------------------------------------------------------

    async def _set_health(self, arguments: Sequence[str]) -> Reply:
        wanted = arguments[0].lower() if arguments else ""
        if wanted in ("up", "down"):
            self._relay.status.is_health_down = wanted == "down"
            structlog.get_logger("relay").info("health was set on the console", code="RLY505", health=wanted)
        yield self._health()

    async def _config(self, _: Sequence[str]) -> Reply:
        yield "\n"
        for table in msgspec.structs.fields(self._relay.config):
            for name, value in _settings(getattr(self._relay.config, table.name)):
                yield f"{table.name} > {name}: {mask_urls(_plain(value))}\n"


def _settings(section: object) -> Iterable[tuple[object, object]]:
    """Return the keys of a table with their values; for a list of tables, its numbers from 1 and its elements."""
    if isinstance(section, dict):
        return section.items()
    if isinstance(section, msgspec.Struct):
        return [(info.name, getattr(section, info.name)) for info in msgspec.structs.fields(section)]
    return enumerate(section, 1) if isinstance(section, list) else ()


def _plain(value: object) -> str:
    """Return the text of a value without quotes; a secret is masked."""
    match value:
        case list():
            return ",".join(map(_plain, value))
        case Seconds() | Size() | str():
            return to_toml(value)[1:-1]
        case float():
            return number(value)
        case _:
            return msgspec.json.encode(value).decode()
