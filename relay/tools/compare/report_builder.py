"""Builds the report of a finished session, or the error that explains why there is no report. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from relay.errors import RelayError, unreachable
from relay.model import Kind
from relay.tools.compare.matching import Matching, Verdict
from relay.tools.compare.name_mapping import NameMapping
from relay.tools.compare.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.naming import Namer
    from relay.tools.compare.flushes import Flushes
    from relay.tools.compare.namespaces import Namespaces
    from relay.tools.compare.session import Session
    from relay.tools.compare.time_range import TimeRange

_SHOWN: Final = 3
"""Number of names that fit no naming scheme shown in an error."""
_NAME_MOST: Final = 80
_EDGES: Final = "without traffic around both edges the bound is 0; a longer --for makes its share smaller"


def build_report(
    session: Session, flushes: Flushes, *, namers: Mapping[Kind, Namer], reserved: str, counter_scale: float
) -> Report:
    """Compare the totals of both sides.

    Args:
        session: a finished session, with the relay's totals.
        flushes: the old daemon's totals.
        namers: the relay's namer for each class.
        reserved: prefix of the relay's own metrics.
        counter_scale: factor from the relay's sent value of a counter to its total.

    Raises:
        RelayError: one side has no data.
    """
    known = _both_known(session, flushes)
    if known is None:
        raise give_up(session, flushes)
    span, namespaces = known
    mapping = NameMapping(namers=namers, namespaces=namespaces, relay=session.metrics)
    old = mapping.rename(flushes.totals)
    matching = Matching(old, session.metrics, reserved=reserved, counter_scale=counter_scale)
    rows = matching.rows()
    return Report(
        span=span,
        windows=session.closed,
        flushes=flushes.counted,
        near=flushes.near,
        interval=flushes.clock.interval,
        rows=rows,
        left_out=mapping.left_out + matching.left_out,
        notes=[*_notes(flushes), *([_EDGES] if any(row.verdict is Verdict.WITHIN for row in rows) else [])],
    )


def _both_known(session: Session, flushes: Flushes) -> tuple[TimeRange, Namespaces] | None:
    has_both = session.closed == session.windows and (flushes.counted or flushes.near)
    return (session.span, flushes.namespaces) if has_both and session.span and flushes.namespaces else None


def give_up(session: Session, flushes: Flushes) -> RelayError:
    """Return the error that says which side has no data, and what to check."""
    if not flushes.touched:
        message = "no flush came from the old daemon"
        fix = "its Graphite back end must be on, with this host and port: graphiteHost and graphitePort of statsd"
    elif flushes.namespaces is None:
        some = ", ".join(name[:_NAME_MOST] for name in islice(flushes.names, _SHOWN))
        message = f"the naming scheme of the old daemon is not detected: {some!a}"
        fix = "give it: --prefix PREFIX (of counters., timers., gauges., sets.), or --map counters=PREFIX"
    elif session.closed < session.windows:
        message = f"the relay sent {session.closed} of {session.windows} windows"
        fix = "was its clock stepped, or the relay restarted? see its log, and compare again"
    else:
        message = "the old daemon sent no flush in the span"
        fix = "look at its log; does it still run, with graphiteHost and graphitePort pointing here?"
    return unreachable(message, fix)


def _notes(flushes: Flushes) -> Iterator[str]:
    """Yield remarks for the reader of the report."""
    if flushes.clock.skew:
        yield f"the old daemon's clock is {flushes.clock.skew:+.1f} s off; its flushes are dated by their arrival"
    if flushes.missing:
        yield f"{flushes.missing} flushes did not come: the old daemon's totals lack their values"
    if flushes.late:
        yield f"{flushes.late} lines came after their flush: do two daemons send here?"
    if flushes.left_out:
        yield f"{flushes.left_out} lines were left out: more than {len(flushes.names)} names"
    if flushes.unreadable:
        yield f"{flushes.unreadable} lines are not lines of Graphite"
    if not any(key and key.kind is Kind.COUNTER for key in flushes.names.values()):
        yield "the old daemon sent no counts of counters: has its configuration flush_counts = false?"
