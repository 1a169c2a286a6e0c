"""Conditions about the cloud: it refuses, it gives no answer, delivery falls behind. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding
from relay.daemon.health.conditions.wording import SINCE, quoted, safe
from relay.wording import as_duration, as_minute, number, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.daemon.health.facts import Facts

SKEW_ALARM: Final = 60.0
"""Seconds of difference between this clock and the cloud's from which points fall into a wrong minute."""
_SILENT_WINDOWS: Final = 2
"""Windows without an accepted request, while points wait, that make a problem."""
_THROTTLED_WINDOWS: Final = 5
_BEHIND_WINDOWS: Final = 15
_GROWING_WINDOWS: Final = 3
_CAUSES: Final = {
    "dns": "its name cannot be looked up",
    "connect": "no connection",
    "tls": "its certificate or its TLS is not accepted",
    "timeout": "no answer in time",
    "reset": "the connection is cut",
    "proxy": "the proxy does not pass requests on",
    "5xx": "an error of the service",
    "bad_answer": "an answer that says not what was stored",
    "file": "the file cannot be written",
    "internal_error": "a mistake of the relay",
}
_FIXES: Final = {
    "dns": "look the name up: getent hosts {host}; repair /etc/resolv.conf, or [cloud] endpoint",
    "connect": "open the way to {host} in the firewall or the routes, or set [cloud] proxy; see: curl -sv {endpoint}",
    "closed": "start the service there, or correct [cloud] endpoint or proxy; see: curl -sv {endpoint}",
    "tls": "name the authority of the proxy in [cloud] ca_file, or check the clock; see: curl -sv {endpoint}",
    "timeout": "let packets to {host} through, or set [cloud] proxy or a longer timeout; see: curl -sv {endpoint}",
    "reset": "find what cuts connections to {host}: a firewall, a proxy, the service; see: curl -sv {endpoint}",
    "proxy": "start the proxy {proxy}, or change [cloud] proxy",
    "5xx": "wait: the service has to recover; requests are sent again by themselves",
    "bad_answer": "check that {host} is the service, and no portal or proxy: curl -sv {endpoint}",
    "file": "make the file of [cloud] file writable, or make room on its disk",
    "internal_error": "report it with the lines of the log that have internal_error",
}


def delivers(facts: Facts) -> bool:
    """Return whether a request was accepted within the last two windows, or nothing waits that long."""
    storage, delivery = facts.storage, facts.delivery
    if not storage.points or storage.oldest is None:
        return True
    ready_at = max(storage.oldest + facts.seconds, facts.started)
    return facts.now - max(delivery.accepted_at, ready_at) <= _SILENT_WINDOWS * facts.seconds


def _nothing(facts: Facts) -> str:
    """Return since when nothing was accepted, as the beginning of a sentence."""
    accepted = facts.delivery.accepted_at
    if accepted:
        return f"nothing has reached the cloud since {as_minute(accepted, facts.now)}"
    return f"nothing has reached the cloud since the start at {as_minute(facts.started, facts.now)}"


def is_clock_wrong(facts: Facts) -> bool:
    """Return whether this clock differs from the cloud's by over a minute."""
    return facts.delivery.is_skew_known and abs(facts.delivery.clock_skew) > SKEW_ALARM


def skew(facts: Facts) -> str:
    """Return the difference of the clocks in words."""
    seconds = facts.delivery.clock_skew
    return f"{number(round(abs(seconds)))} s {'ahead of' if seconds > 0 else 'behind'} the cloud's"


def refused_credentials(facts: Facts) -> Iterator[Finding]:
    """RLY120: the last answer is 401 or 403."""
    delivery = facts.delivery
    if delivery.verdict != "credentials":
        return
    key = delivery.key or "the access key"
    if is_clock_wrong(facts):
        why, fix = f"this clock is {skew(facts)} (RLY122)", "timedatectl set-ntp true"
        clock = ""
    else:
        why = "credentials refused"
        fix = f"replace key {key} in {delivery.key_place or '[cloud]'}; {delivery.key_reload or 'then reload'}"
        clock = f"; this clock is right ({delivery.clock_skew:+.1f} s)" if delivery.is_skew_known else ""
    yield Finding(
        code="RLY120",
        level="problem",
        since=delivery.since,
        sentence=f"{_nothing(facts)}: {why}, key {key}" if is_clock_wrong(facts) else f"{_nothing(facts)}: {why}",
        cloud=f"{quoted(delivery.words)}{clock}",
        fix=fix,
        safe=safe(facts),
        next="explain RLY120",
    )


def misconfigured(facts: Facts) -> Iterator[Finding]:
    """RLY404: the last answer is 404, a redirect or another 4xx."""
    delivery = facts.delivery
    if delivery.verdict != "misconfigured":
        return
    place = "[cloud] endpoint" if not delivery.region else f"[cloud] endpoint and region ({delivery.region})"
    yield Finding(
        code="RLY404",
        level="problem",
        since=delivery.since,
        sentence=f"{_nothing(facts)}: {delivery.host} answers {delivery.status}",
        cloud=quoted(delivery.words),
        fix=f"correct {place}: {delivery.endpoint or delivery.host}; then: statsd-relay reload",
        safe=safe(facts),
        next="config show",
    )


def refused_points(facts: Facts) -> Iterator[Finding]:
    """RLY402: the cloud refuses every point, or refused some in the last ten windows."""
    refusal = facts.delivery.refusal
    if facts.delivery.is_stopped:
        yield Finding(
            code="RLY402",
            level="problem",
            since=facts.now,
            sentence=f"the cloud refuses every point since {SINCE}, {refusal.metric or 'all metrics'} too",
            cloud=quoted(refusal.words),
            fix=refusal.fix or "correct the setting that these words are about; then: statsd-relay reload",
            safe=safe(facts) or "everything is kept, one request a minute tries",
            next="config show",
        )
        return
    points = sum(period.points_refused for period in facts.recent)
    if points:
        metric = refusal.metric or "some metrics"
        yield Finding(
            code="RLY402",
            level="warning",
            since=facts.now,
            sentence=f"{plural(points, 'point')} refused since {SINCE}, the last of {metric}",
            cloud=quoted(refusal.words),
            fix=refusal.fix or f"change {metric} or the rule that makes it; then: statsd-relay dead replay",
            safe=f"{plural(facts.storage.letters, 'dead letter')} kept; all other points are delivered",
            next=f"dead show --metric {refusal.metric}" if refusal.metric else "dead list",
        )


def no_answer(facts: Facts) -> Iterator[Finding]:
    """RLY405: the breaker is open, nothing was accepted for two windows while points wait, or requests fail."""
    delivery = facts.delivery
    failures = sum(sum(period.failed.values()) for period in facts.latest)
    waits_for_answer = delivery.verdict in ("", "unavailable", "delivered") and not delivery.is_stopped
    is_silent = waits_for_answer and not facts.storage.trouble and not delivers(facts)
    is_problem = delivery.is_down or is_silent
    if not (is_problem or failures):
        return
    cause = delivery.cause or next((cause for period in facts.latest for cause in period.failed), "")
    what = f"{delivery.host}: {_CAUSES.get(cause, 'no answer')}" + (f" ({cause})" if cause in _CAUSES else "")
    some = f"{plural(failures, 'request')} failed since {SINCE}; {what}"
    is_closed = cause == "connect" and delivery.words == "Connection refused"
    fix = _FIXES.get("closed" if is_closed else cause, "see why nothing is sent: statsd-relay explain RLY405")
    yield Finding(
        code="RLY405",
        level="problem" if is_problem else "warning",
        since=delivery.since if delivery.verdict == "unavailable" else facts.now,
        sentence=f"{_nothing(facts)}: {what}" if is_problem else some,
        cloud=quoted(delivery.words) if delivery.words and delivery.verdict == "unavailable" else "",
        fix=fix.format(host=delivery.host, endpoint=delivery.endpoint or delivery.host, proxy=delivery.proxy),
        safe=safe(facts),
        next="spool stat" if facts.storage.path else "explain RLY405",
    )


def _oldest_age(facts: Facts) -> float:
    """Return the windows that the oldest waiting one has waited; 0 if none waits."""
    oldest = facts.storage.oldest
    return 0.0 if oldest is None else max(0.0, facts.now - oldest - facts.seconds) / facts.seconds


def throttled(facts: Facts) -> Iterator[Finding]:
    """RLY401: an answer 429 in the open or the last window; a problem once the oldest window waits for over five."""
    delivery = facts.delivery
    answers = sum(period.throttled for period in facts.latest)
    if not (answers or delivery.verdict == "throttled"):
        return
    age = _oldest_age(facts)
    is_late = age > _THROTTLED_WINDOWS
    behind = f", the oldest point waits for {as_duration(age * facts.seconds)}" if is_late else ""
    pause = f", senders pause {as_duration(delivery.paused)}" if delivery.paused >= 1 else ""
    let_through = f"{delivery.per_minute:.0f} of {delivery.quota} requests/min are let through"
    yield Finding(
        code="RLY401",
        level="problem" if is_late else "warning",
        since=delivery.since if delivery.verdict == "throttled" else facts.now,
        sentence=f"the quota is used up since {SINCE}{pause}; {let_through}{behind}",
        cloud=quoted(delivery.words) if delivery.verdict == "throttled" else "",
        fix="raise the quota of the access key, or send fewer series: statsd-relay series shows what uses it",
        safe=safe(facts),
        next="series",
    )


def _accepts(facts: Facts) -> bool:
    """Return whether the cloud accepts requests, and has done so for three windows."""
    delivery = facts.delivery
    is_steady = facts.now - delivery.since > _GROWING_WINDOWS * facts.seconds
    return delivery.verdict == "delivered" and is_steady and delivers(facts)


def behind(facts: Facts) -> Iterator[Finding]:
    """RLY406: the cloud accepts for three windows, and what waits grows as long, or is over 15 windows old.

    Right after an outage the windows are those of the outage, and tell nothing about the pace of delivery.
    After an outage the oldest is old while what waits shrinks: then the cloud needs no person, and it is a warning.
    """
    waiting = facts.waiting[: _GROWING_WINDOWS + 1]
    is_known = len(waiting) > _GROWING_WINDOWS
    grows = is_known and all(newer > older for newer, older in pairwise(waiting))
    shrinks = is_known and all(newer < older for newer, older in pairwise(waiting))
    age = _oldest_age(facts)
    is_old = age > _BEHIND_WINDOWS
    if not (grows or is_old) or not _accepts(facts):
        return
    oldest = f"the oldest waits for {as_duration(age * facts.seconds)}"
    if shrinks:
        fewer = f"{number(waiting[-1] - waiting[0])} fewer than {_GROWING_WINDOWS} windows ago"
        sentence = f"delivery catches up since {SINCE}: {plural(facts.storage.points, 'point')} wait, {fewer}, {oldest}"
    else:
        last = facts.windows[-_GROWING_WINDOWS:]
        made, out = sum(window.points for window in last), sum(window.delivered for window in last)
        of = f"{number(made)} points made and {number(out)} of them sent in the last {len(last)} windows"
        sentence = f"delivery falls behind since {SINCE}: {of}, {oldest}"
    yield Finding(
        code="RLY406",
        level="problem" if is_old and not shrinks else "warning",
        since=facts.now,
        sentence=sentence,
        fix="nothing needs to be done: what waits is being sent"
        if shrinks
        else "send fewer series, or raise [cloud] requests_per_minute if the quota is higher",
        safe=safe(facts),
        next="spool stat" if shrinks else "series",
    )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    refused_credentials,
    misconfigured,
    refused_points,
    no_answer,
    throttled,
    behind,
)
