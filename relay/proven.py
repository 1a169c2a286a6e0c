"""The last configuration file that worked, kept over the death of the worker that worked by it.

It may hold a secret, so it is on no disk and in no variable: the supervisor holds an anonymous file in memory, which it
never reads. Every worker inherits that, writes its configuration file there once it works by it, and falls back to what
it finds there if the one on disk has become bad. A worker that is killed while it writes leaves a text that its
checksum does not fit, which is as good as none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

PROVEN: Final = "RELAY_PROVEN"
"""Variable beside systemd's: the descriptor of the anonymous file."""
_CHECKSUM_BYTES: Final = 32


class Proven:
    """State: the descriptor of the anonymous file; -1: there is none, and nothing is kept."""

    def __init__(self, descriptor: int = -1) -> None:
        self._descriptor = descriptor

    def __repr__(self) -> str:
        """Report the descriptor, and never what is kept."""
        return f"<Proven {self._descriptor}>"

    @classmethod
    def create(cls) -> Proven:
        """Make an empty one; where the system allows no such file, one that keeps nothing."""
        with suppress(OSError):
            return cls(os.memfd_create("statsd-relay"))
        return cls()

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Proven:
        """Take the one that the environment names; children of this process are not given it."""
        number = environ.pop(PROVEN, "")
        with suppress(OSError, ValueError):
            os.set_inheritable(int(number), False)
            return cls(int(number))
        return cls()

    def give(self, environ: MutableMapping[str, str], *, above: int) -> None:
        """Let the program that this process becomes next by exec take it, at a descriptor of at least `above`."""
        if self._descriptor >= 0:
            import fcntl  # noqa: PLC0415 - of the child alone

            environ[PROVEN] = str(fcntl.fcntl(self._descriptor, fcntl.F_DUPFD, above))

    def close(self) -> None:
        """Let go of it; when nobody has it any more, it is gone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def read(self) -> str | None:
        """Return the text of the last file that worked; None: there is none."""
        if self._descriptor < 0:
            return None
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        checksum, text = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        return text.decode() if checksum == _checksum(text) else None

    def write(self, text: str | None) -> None:
        """Keep the text of a file that works; None: there is no file."""
        if self._descriptor < 0 or text is None:
            return
        content = text.encode()
        with suppress(OSError):  # no memory: then nothing is kept
            os.pwrite(self._descriptor, _checksum(content) + content, 0)
            os.ftruncate(self._descriptor, _CHECKSUM_BYTES + len(content))


def _checksum(text: bytes) -> bytes:
    import hashlib  # noqa: PLC0415 - the supervisor has no use for it

    return hashlib.sha256(text).digest()
