"""Conditions about what comes in: packets, lines, samples, connections, copies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding
from relay.daemon.health.conditions.wording import SINCE
from relay.wording import as_duration, as_minute, as_size, number, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relay.daemon.health.facts import BadLine, Facts

_REJECTED_SHARE: Final = 0.01
_SILENT_WINDOWS: Final = 5
_INTENDED: Final = ("rule", "forgotten", "percentile_quota")
"""Reasons of losses that were asked for, or have a code of their own."""
_SAMPLE_FIXES: Final = {
    "too_old": "set the clock of the sender, or raise [cloud] max_age",
    "too_far_ahead": "set the clock of the sender",
    "late_gauge": "let the sender send gauges without a time, or within the minute",
    "no_legal_name": "change the name in the application, or write a [[rule]] with metric for it",
    "name_collision": "give one of the two metrics another name by a [[rule]]",
    "series_limit": "raise [limits] series and memory, or send fewer series",
    "stop_without_state": "give [spool] path a directory, so that a stop keeps the open window",
    "other_host": "give each relay a state directory of its own",
}
_POINT_FIXES: Final = {
    "spool_full": "remove the cause why points wait, or raise [spool] max",
    "too_old": "remove the cause why points wait, or raise [cloud] max_age",
    "ambiguous": '[cloud] on_ambiguous = "resend" keeps such points',
    "spool_damaged": "check the disk of the state directory: statsd-relay spool verify",
    "stop_without_state": "give [spool] path a directory, so that a stop keeps what waits",
    "name_collision": "give one of the two metrics another name by a [[rule]]",
}


def _total(families: list[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of each counter of a family over some periods."""
    total: dict[str, int] = {}
    for family in families:
        for key, count in family.items():
            total[key] = total.get(key, 0) + count
    return total


def kernel_drops(facts: Facts) -> Iterator[Finding]:
    """RLY202: the kernel dropped packets; a problem in the open and the last window, a warning for ten."""
    sockets = {one.name: one for one in facts.intake.sockets}
    for listener, packets in _total([period.kernel_drops for period in facts.recent]).items():
        is_now = any(period.kernel_drops.get(listener) for period in facts.latest)
        one = sockets.get(listener)
        granted, asked = (one.granted, one.asked) if one else (0, 0)
        if granted < asked:
            buffer = f"its buffer has {as_size(granted)} of {as_size(asked)} asked"
            fix = f"sysctl -w net.core.rmem_max={asked}, on the host of a container; then restart"
        else:
            buffer = f"its buffer has {as_size(granted)}"
            larger = max(asked, granted) * 4
            fix = f"sysctl -w net.core.rmem_max={larger}, and [listen] receive_buffer = {larger}; or more CPU"
        yield Finding(
            code="RLY202",
            level="problem" if is_now else "warning",
            since=facts.now,
            subject=listener,
            sentence=f"the kernel dropped {plural(packets, 'packet')} at {listener} since {SINCE}; {buffer}",
            fix=fix,
            next="explain RLY202",
        )


def dropped_samples(facts: Facts) -> Iterator[Finding]:
    """RLY305: samples were dropped in the last ten windows, and not by a rule."""
    for reason, count in _total([period.samples_dropped for period in facts.recent]).items():
        if reason not in _INTENDED:
            yield Finding(
                code="RLY305",
                level="warning",
                since=facts.now,
                subject=reason,
                sentence=f"{plural(count, 'sample')} dropped since {SINCE} ({reason})",
                fix=_SAMPLE_FIXES.get(reason, "see what this reason means: statsd-relay explain RLY305"),
                next="explain RLY305",
            )


def dropped_points(facts: Facts) -> Iterator[Finding]:
    """RLY407: points were dropped in the last ten windows."""
    for reason, count in _total([period.points_dropped for period in facts.recent]).items():
        if reason not in _INTENDED:
            yield Finding(
                code="RLY407",
                level="warning",
                since=facts.now,
                subject=reason,
                sentence=f"{plural(count, 'point')} dropped since {SINCE} ({reason})",
                fix=_POINT_FIXES.get(reason, "see what this reason means: statsd-relay explain RLY407"),
                next="dead list" if reason in ("too_old", "ambiguous") else "explain RLY407",
            )


def rejected(facts: Facts) -> Iterator[Finding]:
    """RLY301: lines were rejected in the last ten windows; a warning from 1 %."""
    reasons = _total([period.rejected for period in facts.recent])
    count, lines = sum(reasons.values()), max(1, sum(period.lines for period in facts.recent))
    if not count:
        return
    reason = max(reasons, key=lambda one: (reasons[one], one))
    share = 100 * count / lines
    example = next((one for one in facts.intake.bad_lines if one.reason == reason), None)
    yield Finding(
        code="RLY301",
        level="warning" if count >= _REJECTED_SHARE * lines else "note",
        since=facts.now,
        sentence=f"{number(count)} of the last {plural(lines, 'line')} rejected since {SINCE} ({share:.2g} %), "
        f"most {reason}" + (f": {_quote(example)}, from {example.sender}" if example else ""),
        fix=f"correct what {example.sender} sends: {example.why}" if example else "correct the sender",
        next="tap --rejected",
    )


def _quote(example: BadLine) -> str:
    r"""Return a bad line with a mark before the byte that breaks the grammar: `web.time:>>abc|ms`."""
    if example.at is None:
        return f'"{example.line}"'
    return f'"{example.line[: example.at]}>>{example.line[example.at :]}"'


def connections(facts: Facts) -> Iterator[Finding]:
    """RLY205: stream connections were closed or refused in the last ten windows."""
    words = {"evicted": "closed at the limit", "idle": "closed as idle", "refused": "refused by [listen] allow"}
    fixes = {
        "evicted": "raise [listen] stream_connections and the limit of open files",
        "idle": "raise [listen] stream_idle, or let clients send more often",
        "refused": "add the sender's network to [listen] allow",
    }
    for reason, count in _total([period.connections_closed for period in facts.recent]).items():
        yield Finding(
            code="RLY205",
            level="warning",
            since=facts.now,
            subject=reason,
            sentence=f"{plural(count, 'stream connection')} {words.get(reason, reason)} since {SINCE}",
            fix=fixes.get(reason, "see: statsd-relay explain RLY205"),
            next="explain RLY205",
        )


def silence(facts: Facts) -> Iterator[Finding]:
    """RLY203: no packet came in the first whole window; RLY204: none came for five windows after there were some."""
    last, addresses = facts.intake.last_packet_at, ", ".join(facts.intake.addresses)
    whole = [window for window in facts.windows if window.start >= facts.started]
    closed = facts.intake.closed_ports
    if not facts.counts.packets and not last and whole:
        elsewhere = f"; {plural(closed, 'packet')} came for closed ports of this machine" if closed else ""
        yield Finding(
            code="RLY203",
            level="warning",
            since=facts.started,
            sentence=f"no packet has come since the start at {as_minute(facts.started, facts.now)}{elsewhere}",
            fix=f"let clients send to {addresses or 'an address of [listen]'}, or add their port to [listen] udp",
            next="explain RLY203",
        )
    elif last and facts.now - last > _SILENT_WINDOWS * facts.seconds:
        silent = as_duration(facts.now - last)
        yield Finding(
            code="RLY204",
            level="warning",
            since=last,
            sentence=f"no packet has come since {as_minute(last, facts.now)}, for {silent}"
            + (f"; {plural(closed, 'packet')} came for closed ports of this machine" if closed else ""),
            fix=f"see whether the applications run, and send to {addresses or 'an address of [listen]'}",
            next="explain RLY204",
        )


def tees(facts: Facts) -> Iterator[Finding]:
    """RLY106: copies for a tee were lost in the last ten windows, or its target cannot be used."""
    lost = _total([period.tee_dropped for period in facts.recent])
    for target in {**lost, **facts.intake.tees}:
        trouble, count = facts.intake.tees.get(target, ""), lost.get(target, 0)
        copies = f"{plural(count, 'copy')} to {target} lost since {SINCE}"
        yield Finding(
            code="RLY106",
            level="warning",
            since=facts.now,
            subject=target,
            sentence=f"{copies}: {trouble}" if trouble else copies,
            fix=f"start the daemon on {target}, or change `to` of this [[tee]] and reload",
            safe="the relay's own figures are complete",
            next="explain RLY106",
        )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    kernel_drops,
    dropped_samples,
    dropped_points,
    rejected,
    connections,
    silence,
    tees,
)
