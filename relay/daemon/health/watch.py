"""The watch: once a second it gathers the facts, judges them, keeps the answer, and tells subscribers what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from relay.daemon.health.gather import Gatherer
from relay.daemon.health.judge import TABLE, Answer, Key, judge
from relay.daemon.health.rates import Rates
from relay.daemon.health.report import report
from relay.daemon.health.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.admin.answers.finding import Finding, Level, Overall
    from relay.admin.answers.status import StatusAnswer
    from relay.daemon.app import Relay
    from relay.daemon.health.facts import Facts

INTERVAL: Final = 1.0
Findings: TypeAlias = "Sequence[Finding]"
Subscriber: TypeAlias = "Callable[[Findings, Findings, Findings], None]"
"""Called after each judgement with the findings that began, changed and ended; any of them may be empty."""


class Health:
    """State: the last facts and the last answer, and the subscribers."""

    def __init__(self, relay: Relay) -> None:
        self._relay, self._clock = relay, relay.context.clock
        self.surroundings = Surroundings(relay.state, self._clock)
        self._gatherer = Gatherer(relay, self.surroundings)
        self._answer = Answer()
        self._subscribers: list[Subscriber] = []
        self._rates = Rates()
        self.facts: Facts = self._gatherer.gather()
        """Those of the last judgement, at most a second old."""

    @property
    def level(self) -> Overall:
        """The level of the worst finding; "ok" without any."""
        return self._answer.level

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        return self._answer.findings

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` after each judgement, for as long as the relay runs; it must not block."""
        self._subscribers.append(subscriber)

    def states(self) -> dict[tuple[str, Level], bool]:
        """Return for each code, and each level that it can have, whether there is such a finding."""
        found = {(finding.code, finding.level) for finding in self.findings}
        return {(code, level): (code, level) in found for code, levels in TABLE.items() for level in levels}

    def status(self) -> StatusAnswer:
        """Return the answer of `GET /api/v1/status`, as of the last judgement."""
        return report(self._relay, self.facts, level=self.level, findings=self.findings, rates=self._rates)

    async def run(self) -> None:
        """Judge once a second until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(INTERVAL)

    def look(self) -> None:
        """Judge now."""
        self.facts = self._gatherer.gather()
        counts = self.facts.counts
        self._rates.observe(self._clock.monotonic(), lines=counts.lines, packets=counts.packets)
        before, self._answer = self._answer, judge(self.facts, self._answer)
        began, changed, ended = changes(before.findings, self._answer.findings)
        for subscriber in self._subscribers:
            subscriber(began, changed, ended)


def changes(before: Findings, after: Findings) -> tuple[Findings, Findings, Findings]:
    """Return the findings that began, those that changed in any field, and those that ended, as they were last."""
    old, new = _by_key(before), _by_key(after)
    began = [finding for key, finding in new.items() if key not in old]
    changed = [finding for key, finding in new.items() if key in old and finding != old[key]]
    return began, changed, [finding for key, finding in old.items() if key not in new]


def _by_key(findings: Findings) -> dict[Key, Finding]:
    return {(finding.code, finding.subject): finding for finding in findings}
