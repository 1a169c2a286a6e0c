"""Read the credential files again while the cloud refuses the credentials in force: a rotation needs no reload."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from relay.delivery.disk_thread import DiskThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.clock import Clock
    from relay.delivery.sender.gate import Gate
    from relay.delivery.sender.outcomes import VerdictReporter
    from relay.delivery.sender.pool import Cloud

_SHARE: Final = 1 / 12
"""Interval between two reads of the files, as a share of a minute."""
_PATIENCE: Final = 2.0
"""Seconds for which a sender waits for one read; a read from a hanging disk goes on in its thread."""


class Renewal:
    """State: when to read again, and the read that is not finished."""

    def __init__(self, *, reporter: VerdictReporter, clock: Clock, random: Callable[[], float]) -> None:
        self._reporter = reporter
        self._clock = clock
        self._random = random
        self._due_at = 0.0
        self._thread = DiskThread("credentials")
        self._looking: asyncio.Task[bool] | None = None

    async def try_if_due(self, gate: Gate, cloud: Cloud, *, minute: float) -> None:
        """Read the credentials if it is time; after an exception those in force stay."""
        now = self._clock.monotonic()
        if not gate.credentials_refused or now < self._due_at:
            return
        self._due_at = now + minute * _SHARE
        self._looking = self._looking or asyncio.create_task(self._thread.run(cloud.renew), name="credentials")
        if not (await asyncio.wait([self._looking], timeout=_PATIENCE))[0]:
            return
        looking, self._looking = self._looking, None
        try:
            is_renewed = looking.result()
        except Exception as error:  # noqa: BLE001 - an exception, caused by the content of a file, ends no worker
            self._reporter.report_exception(gate, error, jitter=self._random())
            return
        if is_renewed:
            self._reporter.report_renewal()
            gate.retry_now(self._clock.monotonic())

    def close(self) -> None:
        """End the thread without waiting for it, as its disk may hang."""
        self._thread.close()
