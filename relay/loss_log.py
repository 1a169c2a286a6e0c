"""Warnings about loss, limited in rate: what was rejected, dropped or changed, with an example.

A flood of bad lines must not become a flood of log lines. LossLog is the only code that limits the rate of log lines.
The functions below it warn of the losses of one window.

Not known here: how a loss is counted (`Ledger`, the hot path's `Tally`), and how a log line is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from relay.clock import Clock
    from relay.ledger import Ledger
    from relay.model import RejectedLine, Tally


@dataclass(slots=True)
class _KeyState:
    """State of one (event, subject): when it may be logged next, and how many lines were suppressed."""

    next_at: float = 0.0
    suppressed: int = 0


@dataclass(slots=True)
class LossLog:
    """Warnings about loss, limited in rate per (event, subject).

    State: for each (event, subject) the monotonic time from which it may be logged again, and the suppressed lines.
    """

    clock: Clock
    interval: float = 10.0
    """Minimum seconds between two log lines of one (event, subject)."""
    judged: Container[str] = ()
    """Codes of which the log has the judge's findings: single events with such a code have level debug."""
    _keys: dict[tuple[str, str], _KeyState] = field(default_factory=dict)

    def warn(
        self,
        event: str,
        *,
        code: str = "",
        subject: str = "",
        every: float | None = None,
        **fields: Any,  # noqa: ANN401 - log fields are any scalars
    ) -> None:
        """Log `event`, unless the same (event, subject) is muted. The next line has the number of suppressed ones.

        Args:
            event: constant words.
            code: of errors.py; every event that costs data has one.
            subject: the second half of the key, not logged: what the event is about.
            every: minimum seconds until the next line of this key; None: `interval`.
            fields: further fields of the log line.
        """
        state = self._keys.setdefault((event, subject), _KeyState())
        if self.is_muted(event, subject=subject):
            state.suppressed += 1
            return
        if state.suppressed:
            fields["suppressed"] = state.suppressed
        state.next_at, state.suppressed = self.clock.monotonic() + (self.interval if every is None else every), 0
        log = structlog.get_logger("relay")
        (log.debug if code in self.judged else log.warning)(event, **({"code": code} if code else {}), **fields)

    def is_muted(self, event: str, *, subject: str = "") -> bool:
        """Return whether `warn` would suppress the line now. Callers with work before a warning ask first."""
        state = self._keys.get((event, subject))
        return state is not None and self.clock.monotonic() < state.next_at


@dataclass(slots=True)
class CounterDeltas:
    """State: the value of each counter at its last call of `since_last`."""

    _seen: dict[str, int] = field(default_factory=dict)

    def since_last(self, name: str, value: int) -> int:
        """Return by how much a counter grew since the last call for its name."""
        before, self._seen[name] = self._seen.get(name, 0), value
        return value - before

    def grown(self, name: str, values: Mapping[str, int]) -> dict[str, int]:
        """Return by how much each counter of a family grew since the last call; those that did not are left out."""
        grown = {key: self.since_last(f"{name} {key}", value) for key, value in values.items()}
        return {key: value for key, value in grown.items() if value}


class Explain(Protocol):
    """Explains rejected lines."""

    def __call__(self, line: bytes, reason: str) -> tuple[int | None, str]:
        """Return the offset of the byte that breaks the grammar (None: no single byte does), and the reason."""
        ...


INTENDED_REASONS: Final = frozenset({"rule", "forgotten"})
"""Reasons of samples dropped on request, by a rule or on the console. They are counted without a warning."""


def lost_samples(dropped: Mapping[str, int]) -> int:
    """Return how many of the dropped samples, by reason, were not dropped on request."""
    return sum(count for reason, count in dropped.items() if reason not in INTENDED_REASONS)


_ILLEGAL: Final = "they have characters that the API does not take"
_TOO_MANY: Final = "the API takes five tags, of 255 bytes in all"
_BEYOND: Final = f"they are beyond {limits.VALUE_MAX} or below its negative"
_CLAMPED_SECONDS: Final = 60.0
"""Minimum seconds between two warnings of clamped values. It is longer than the default, since a client that prints
negative gauges as unsigned integers causes one in every window."""


def log_window_losses(
    deltas: CounterDeltas,
    loss_log: LossLog,
    *,
    tally: Tally,
    ledger: Ledger,
    rejects: Iterable[RejectedLine],
    explain: Explain,
) -> None:
    """Warn of lines rejected, samples dropped and values changed since the last call; call it once a window.

    A warning of rejected lines has an example with its sender.
    """
    examples = {rejected.reason: rejected for rejected in rejects}
    for reason, lines in deltas.grown("rejected", tally.rejected).items():
        example = examples.get(reason)
        shown = _describe(example, explain) if example else {}
        loss_log.warn("lines rejected", code="RLY301", subject=reason, reason=reason, lines=lines, **shown)
    for reason, samples in deltas.grown("dropped", tally.samples_dropped).items():
        if reason not in INTENDED_REASONS:
            loss_log.warn("samples dropped", code="RLY305", subject=reason, reason=reason, samples=samples)
    _log_changes(deltas, loss_log, ledger)


def _log_changes(deltas: CounterDeltas, loss_log: LossLog, ledger: Ledger) -> None:
    """Warn of names, tags and values that were changed before sending, with an example of each kind."""
    for kind, code, event, count, unit, every, why in (
        ("rewritten", "RLY302", "names or tags rewritten", ledger.names_rewritten, "identities", None, _ILLEGAL),
        ("unsent", "RLY303", "tags dropped", ledger.tags_dropped, "tags", None, _TOO_MANY),
        ("clamped", "RLY304", "values clamped", ledger.values_clamped, "values", _CLAMPED_SECONDS, _BEYOND),
    ):
        if loss_log.is_muted(event):
            continue  # the count of the next line includes these
        grown = deltas.since_last(event, count)
        if grown:
            example = ledger.examples.pop(kind, {})
            counted: dict[str, Any] = {unit: grown, **example}
            loss_log.warn(event, code=code, every=every, **counted, why=why)


def _describe(example: RejectedLine, explain: Explain) -> dict[str, Any]:
    """Return the log fields of a rejected line; `at` is the byte offset at which the log puts a caret."""
    at, why = explain(example.line, example.reason)
    sender = f"{example.peer.host}:{example.peer.port}" if example.peer else "a Unix socket"
    return {"why": why, "line": example.line, "at": at, "sender": sender}


def log_late_window(loss_log: LossLog, window: int, *, seconds: float, closing: int) -> None:
    """Warn that a window was stored long after its end."""
    fix = "see relay_series, relay_loop_lag_seconds and the disk; send fewer series"
    late: dict[str, Any] = {"late_seconds": round(seconds, 1), "windows": closing}
    loss_log.warn("a window closed late", code="RLY503", window=window, **late, fix=fix)


def log_quota(loss_log: LossLog, *, needed: int, allowed: int) -> None:
    """Warn that a window needs nearly all requests that the quota allows."""
    event, fix = "the quota is nearly used up, percentiles are not sent", "send fewer series, or raise the quota"
    loss_log.warn(event, code="RLY403", needed_requests=needed, allowed_requests=allowed, fix=fix)
