"""Exceptions and kills inside a real relay, at the points of inject_points.py.

    inject = Inject(tmp_path)
    relay = start(environ=inject.environment)
    inject.arm("kill", "transaction commits")      # or "raise"
    await inject.struck()

It works in every Python process that gets the environment, a supervisor's workers too: Python runs sitecustomize.py of
this folder at start, which wraps the functions when their modules are loaded. A point strikes once each time it is
armed, in one process, which disarms it first.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support.inject.inject_points import COMMIT, POINTS, STAGES

__all__ = ["COMMIT", "STAGES", "Inject"]

HERE = Path(__file__).parent


class Inject:
    """State: the file that arms a point."""

    def __init__(self, scratch: Path) -> None:
        self._armed = scratch / "inject"
        self.environment = {"PYTHONPATH": str(HERE), "RELAY_INJECT": str(self._armed)}

    def arm(self, action: str, point: str, *, nth: int = 1) -> None:
        """Act when the point is passed for the nth time from now; `action` is "kill" or "raise"."""
        assert action in ("kill", "raise")
        fresh = self._armed.with_suffix(".new")
        fresh.write_text(f"{action}\n{POINTS[point].name}\n{nth}")
        fresh.replace(self._armed)

    @property
    def armed(self) -> bool:
        return self._armed.exists()

    async def struck(self, within: float = 20) -> None:
        """Wait until the armed point was passed."""
        deadline = time.monotonic() + within
        while self.armed:
            assert time.monotonic() < deadline, f"never passed: {self._armed.read_text()!r}"
            await asyncio.sleep(0.01)
