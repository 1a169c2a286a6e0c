"""A finding: one thing that is wrong with a running relay, as the log, the commands, the API and the page say it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["problem", "warning", "note"]
"""problem: data does not flow, or is being lost. warning: it was lost lately, or soon will be. note: all else."""
Overall: TypeAlias = Literal["ok", "note", "warning", "problem"]
"""The level of a relay: that of its worst finding."""
LEVELS: Final = ("ok", "note", "warning", "problem")
"""Each is worse than the one before."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, what is safe, and what to do."""

    code: str
    """RLY120; a code of relay/errors.py."""
    level: Level
    since: float
    """Wall time at which its condition became true."""
    subject: str = ""
    """What the finding is about, if one code can have several findings: a metric, a reason, a listener."""
    sentence: str
    """What is wrong, with the figure, its limit, and since when."""
    cloud: str = ""
    """The cloud's own words."""
    fix: str
    """What to do; never empty."""
    safe: str = ""
    """What waits, where, and how long the space lasts."""
    next: str
    """The command that shows the cause, without `statsd-relay`; never empty."""
