"""Cautions of the start: what `check` and the start warn of stays a note until its cause is gone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.answers.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.daemon.health.facts import Facts

CODES: Final = ("RLY102", "RLY111", "RLY112", "RLY121", "RLY131", "RLY201", "RLY412", "RLY900")
_MOST: Final = 20
"""Cautions that become findings; `check` lists them all."""


def cautions(facts: Facts) -> Iterator[Finding]:
    """Notes, as `check` says them; one with a code that is no note counts as RLY102."""
    for caution in facts.process.cautions[:_MOST]:
        yield Finding(
            code=caution.code if caution.code in CODES else "RLY102",
            level="note",
            since=facts.started,
            subject=caution.message,
            sentence=caution.message,
            fix=caution.fix or f"see: statsd-relay explain {caution.code}",
            next=f"explain {caution.code}",
        )


CONDITIONS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (cautions,)
