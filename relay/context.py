"""What nearly every stage needs: the time, the books, and the log of losses. app.py makes one for a relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.clock import Clock
    from relay.ledger import Ledger
    from relay.loss_log import LossLog


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to a part that needs two of the three or more; a part that needs one of them takes that one alone."""

    clock: Clock
    ledger: Ledger
    loss_log: LossLog
