"""Control of a running relay from outside: a reload whose result is awaited, and a replacement of the worker.

The admin port calls it. Not known here: how a configuration is loaded (reload.py), and how a worker is replaced
(signals.py, supervisor/).
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from relay.admin.answers.config import ReloadAnswer
from relay.config.table_lists import LISTED
from relay.wording import as_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from relay.daemon.app import Relay
    from relay.daemon.lifecycle.reload import Reloader, ReloadOutcome


class Control:
    """State: how many replacements of this worker were refused, and why the last one was.

    Args:
        relay: the running relay.
        reloader: loads the configuration.
        replace: asks for a replacement of the worker.
    """

    def __init__(self, relay: Relay, reloader: Reloader, replace: Callable[[], object]) -> None:
        self._relay = relay
        self._reloader = reloader
        self._replace = replace
        self.refusals = 0
        self.refused = ""

    def refuse(self, reason: str) -> None:
        """Record that this worker is not replaced."""
        self.refusals += 1
        self.refused = reason

    async def reload(self) -> ReloadAnswer:
        """Load the configuration; return what changes, and when.

        Raises:
            RelayError: the configuration has errors, or a change needs a restart; nothing has changed.
        """
        refusals = self.refusals
        outcome = await self._reloader.reload()
        changes = outcome.changes
        return ReloadAnswer(
            generation=outcome.generation,
            at_once=list(detailed(changes.at_once, outcome)),
            at_next_window=list(detailed(changes.at_next_window, outcome)),
            begins=self._next_window(),
            with_new_worker=list(detailed(changes.replacing, outcome)),
            is_replacing=bool(changes.replacing),
            refusals=refusals,
        )

    def upgrade(self) -> ReloadAnswer:
        """Ask for a worker of the installed program; the answer comes before that program is tried."""
        refusals = self.refusals
        self._replace()
        return ReloadAnswer(
            generation=self._relay.in_force.generation,
            at_once=[],
            at_next_window=[],
            begins=self._next_window(),
            with_new_worker=[],
            is_replacing=True,
            refusals=refusals,
        )

    def _next_window(self) -> str:
        return as_time(self._relay.closer.open_id + self._relay.config.window.seconds)


def detailed(keys: Sequence[str], outcome: ReloadOutcome) -> Iterator[str]:
    """Yield changed keys; of `[tags]` each tag, of a list of tables the numbers of its changed elements."""
    before, after = outcome.before, outcome.after
    for key in keys:
        if key == "tags":
            names = before.tags.keys() | after.tags.keys()
            yield from sorted(f"tags.{name}" for name in names if before.tags.get(name) != after.tags.get(name))
        elif key in LISTED:
            pairs = zip_longest(getattr(before, key), getattr(after, key))
            numbers = [number for number, (old, new) in enumerate(pairs, 1) if old != new]
            first, last = numbers[0], numbers[-1]
            yield f"{key} {first}" if first == last else f"{key} {first} to {last}"
        else:
            yield key
