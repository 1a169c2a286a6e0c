"""The one line of `status --check`, and its exit code, as Nagios' plugins have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.wording import printable

if TYPE_CHECKING:
    from relay.admin.answers.finding import Overall
    from relay.admin.answers.status import StatusAnswer

_WORDS: Final[dict[Overall, tuple[int, str]]] = {
    "ok": (0, "OK"),
    "note": (0, "OK"),
    "warning": (1, "WARNING"),
    "problem": (2, "CRITICAL"),
}
UNKNOWN: Final = 3


def nagios_line(answer: StatusAnswer) -> tuple[int, str]:
    """Return the exit code and the line: the worst finding, then figures of the last window."""
    code, word = _WORDS[answer.level]
    worst = answer.findings[0] if answer.findings else None
    text = f"{worst.code} {worst.sentence}" if worst and code else "data flows"
    others = f" (and {len(answer.findings) - 1} more)" if code and len(answer.findings) > 1 else ""
    window = answer.window
    figures = (
        f"lines={window.lines if window else 0} waiting={answer.waiting.points} lost={window.lost if window else 0}"
    )
    return code, f"STATSD-RELAY {word} - {printable(text).replace('|', '/')}{others} | {figures}"
