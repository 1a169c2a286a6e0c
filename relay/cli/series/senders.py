"""Renders the answer of /api/v1/senders as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.cli.series.columns import Column, table
from relay.wording import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.admin.answers.senders import SenderAnswer, SendersAnswer


def sender_lines(answer: SendersAnswer, *, width: int) -> Iterator[str]:
    """Yield the table: the senders with the most lines first, then the sum of the rest."""
    if not answer.senders:
        yield "no packet has come from any sender"
        return
    rows = answer.senders
    columns = [
        Column(title="SENDER", cells=[row.address for row in rows]),
        Column(title="LINES", cells=[number(row.lines) for row in rows], is_number=True),
        Column(title="LINES/S", cells=[rate(row.lines_per_second) for row in rows], is_number=True),
        Column(title="REJECTED", cells=[number(row.rejected) for row in rows], is_number=True),
        Column(title="LAST BAD LINE", cells=[_bad(row) for row in rows], least=20),
    ]
    yield from table(columns, width)
    if answer.left_out:
        yield f"{number(answer.left_out)} more senders"
    if answer.others.lines:
        yield f"{number(answer.others.lines)} lines of senders that are not counted separately"


def rate(per_second: float | None) -> str:
    """Return lines a second; `-` if it is not known."""
    if per_second is None:
        return "-"
    whole, _, tenth = f"{per_second:.1f}".partition(".")
    return f"{number(int(whole))}.{tenth}"


def _bad(row: SenderAnswer) -> str:
    return f"{row.bad.reason}: {row.bad.text}" if row.bad else ""
