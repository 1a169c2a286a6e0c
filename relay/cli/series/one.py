"""Renders the answer of /api/v1/series/{name}: the series of a name with their newest points, or why it has none."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from relay.cli.series.columns import cut
from relay.model import Kind
from relay.wording import number, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.admin.answers.series import NameAnswer, OneSeries, OpenSeries, SentPoint
    from relay.cli.series.tap_senders import Dimensions

_SENDERS: Final = 4
"""Senders shown of a series."""
_REQUEST_ID: Final = 8
"""Characters shown of the cloud's id of a request."""
_VALUES: Final = 30
"""Width of the values."""
_FEW_DIGITS: Final = 1e9
_STATISTICS: Final = {
    Kind.COUNTER: ("sum",),
    Kind.TIMER: ("count", "avg", "max"),
    Kind.GAUGE: ("last",),
    Kind.SET: ("sum",),
}
"""Statistics that are shown of a point."""


def name_lines(answer: NameAnswer, senders: Mapping[Dimensions, list[str]], *, width: int) -> Iterator[str]:
    """Yield the lines; `senders`: those that were seen, by the dimensions of their series."""
    if not answer.series:
        yield f"{printable(answer.name)}: {printable(answer.sentence)}{_last_packet(answer)}"
        return
    if answer.code:
        yield f"! {answer.sentence}"
    for series in answer.series:
        seen = senders.get(tuple(sorted(series.dimensions.items())), [])
        yield from _series_lines(series, answer, _from(seen), width=width)
    if answer.others:
        yield f"{number(answer.others)} more series"
    renamed = [name for name in answer.received if name not in answer.metrics]
    if renamed:
        yield f"received as {', '.join(map(printable, renamed))}"


def _last_packet(answer: NameAnswer) -> str:
    if answer.verdict != "never":
        return ""
    if answer.last_packet is None:
        return "; no packet has come from any sender"
    return f"; last packet {answer.last_packet:.0f} s ago"


def _from(senders: Sequence[str]) -> str:
    if not senders:
        return ""
    more = f" and {number(len(senders) - _SENDERS)} more" if len(senders) > _SENDERS else ""
    return f"  from {', '.join(map(printable, senders[:_SENDERS]))}{more}"


def _series_lines(series: OneSeries, answer: NameAnswer, seen: str, *, width: int) -> Iterator[str]:
    dimensions = " ".join(f"{key}={value}" for key, value in series.dimensions.items())
    kind = f"  {series.type}" if series.type else ""
    yield f"{series.namespace}/{series.metric}{kind}  {dimensions}  {_rule(answer)}{seen}".rstrip()
    form = _form([answer.open, *(point.window for point in series.points)])
    if series.open:
        yield f"  open {_clock(answer.open, form):<8}  {_open(series.open)}"
    for point in series.points:
        when, values = _clock(point.window, form), statistics(series.type, point.values)
        yield cut(f"  {when:<13}  {values:<{_VALUES}}  {_outcome(point)}".rstrip(), width)
    if not series.points and not series.open:
        yield "  no point of it is kept ([admin] history)"


def _rule(answer: NameAnswer) -> str:
    if not answer.rules:
        return "no rule"
    return ", ".join(f'rule {rule.number} "{printable(rule.pattern)}"' for rule in answer.rules)


def _form(times: list[str]) -> str:
    """Return the form of times of the API: with seconds if a window begins within a minute."""
    return "%H:%M" if all(datetime.fromisoformat(time).second == 0 for time in times) else "%H:%M:%S"


def _clock(time: str, form: str = "%H:%M:%S") -> str:
    """Return a time of the API in local time."""
    return datetime.fromisoformat(time).astimezone().strftime(form)


def _open(series: OpenSeries) -> str:
    text = f"count {figure(series.count)}  sum {figure(series.sum)}"
    return text if series.min == series.max else f"{text}  min {figure(series.min)}  max {figure(series.max)}"


def statistics(kind: Kind | None, values: dict[str, float]) -> str:
    """Return the statistics that matter for a type; a type that is not known shows what its point has."""
    wanted = _STATISTICS[kind] if kind else ("sum",) if values.get("count", 1) == 1 else _STATISTICS[Kind.TIMER]
    shown = [f"{name} {figure(values[name])}" for name in wanted if name in values]
    return "  ".join(shown or [f"{name} {figure(value)}" for name, value in values.items()])


def figure(value: float) -> str:
    """Return a value of a person's metric: digits grouped, at most three decimals."""
    if abs(value) >= _FEW_DIGITS:
        return f"{value:.6g}"
    whole, _, rest = f"{abs(value):.3f}".partition(".")
    text = number(int(whole)) + (f".{rest}".rstrip("0").rstrip("."))
    return f"-{text}" if value < 0 else text


def _outcome(point: SentPoint) -> str:
    if point.outcome == "waiting":
        return "waiting"
    if point.outcome == "accepted":
        id_ = f" {printable(point.request_id)[:_REQUEST_ID]}.." if point.request_id else ""
        return f"accepted{id_}{f' at {_clock(point.at)}' if point.at else ''}"
    hint = "   dead show" if point.outcome == "refused" else ""
    return f'{point.outcome} "{printable(point.detail)}"{hint}'
