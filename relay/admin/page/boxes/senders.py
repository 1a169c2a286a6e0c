"""Box 7: who sends, and who sends lines that are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, join, table
from relay.wording import as_clock, number, plural

if TYPE_CHECKING:
    from relay.admin.answers.senders import BadLine, SenderAnswer, SendersAnswer

_HEADS: Final = ("address", "newest rejected line", "lines/s", "lines", "rejected", "packets", "last seen")


def senders_box(answer: SendersAnswer) -> Html:
    """Return the senders of most lines."""
    if not answer.count:
        return box("senders", "Senders", element("p", "No packet has come since the start."))
    rows = [_cells(one) for one in answer.senders]
    if answer.others.packets or answer.others.rejected:
        rows.append(_cells(answer.others))
    left_out = f" {plural(answer.left_out, 'sender')} with fewer lines are not shown." if answer.left_out else ""
    note = f"{plural(answer.count, 'sender')}, {number(answer.active)} active in the last minute.{left_out}"
    return box("senders", "Senders", table("The senders of most lines", _HEADS, rows, left=2), note=note)


def _cells(one: SenderAnswer) -> list[object]:
    rate = "-" if one.lines_per_second is None else f"{one.lines_per_second:,.1f}".replace(",", " ")
    return [
        code(one.address),
        _bad(one.bad) if one.bad else "-",
        rate,
        number(one.lines),
        element("strong", number(one.rejected)) if one.rejected else "0",
        number(one.packets),
        as_clock(one.last_at.timestamp()) if one.last_at else "-",
    ]


def _bad(line: BadLine) -> Html:
    """Return the line with a caret below the byte in error, and the reason."""
    caret = [Html("\n"), " " * line.column, "^"] if line.column is not None else []
    why = element("span", line.explanation or line.reason, class_="wide soft")
    return join([element("pre", line.text, *caret, class_="bad"), why])
