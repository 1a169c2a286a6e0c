"""What the writer of the spool's database asks of the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.delivery.spool_database import Contents


class Owner(Protocol):
    """What the writer needs from the spool."""

    def adopt(self, contents: Contents) -> None:
        """Take over what was found on disk."""

    def make_room(self, missing: int, *, but: Collection[int]) -> bool:
        """Drop oldest windows of so many bytes, except some; return whether anything became free."""
        ...

    def disk_lost(self) -> Collection[int]:
        """The database was set aside: let go of what was only there; return the ids of committed windows."""
        ...

    def stored(self, windows: Collection[int]) -> None:
        """These windows are on disk, with their ids."""

    def directory_removed(self) -> None:
        """Everything in the state directory is gone for good."""

    def wake(self) -> None:
        """Something may be taken again."""
