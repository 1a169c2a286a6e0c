"""The terminal of `top`: the alternate screen, keys one by one, its size. Restored at any end.

A frame is written whole, line by line over the frame before, so nothing flickers. SIGINT, SIGTERM and SIGHUP end the
view; the handlers that were there are restored, too.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KEYS: Final = {
    b"\t": "tab", b"\r": "enter", b"\n": "enter", b"\x1b": "escape", b"\x7f": "backspace", b"\x08": "backspace",
    b"\x03": "ctrl-c", b"\x1b[Z": "shift-tab",
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left",
    b"\x1bOA": "up", b"\x1bOB": "down", b"\x1bOC": "right", b"\x1bOD": "left",
    b"\x1b[5~": "page-up", b"\x1b[6~": "page-down", b"\x1b[H": "home", b"\x1b[1~": "home",
}  # fmt: skip
_READ: Final = 1024


class Terminal:
    """State: the settings to restore, whether the view must end, and a pipe that ends a wait."""

    def __init__(self) -> None:
        self.has_ended = False
        """Whether a signal has come, or the terminal is gone."""
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._awake, self._waker = os.pipe()
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Terminal:
        """Switch to the alternate screen, and read keys one by one."""
        os.set_blocking(self._waker, False)
        self._before = termios.tcgetattr(self._input)
        self._handlers = {number: signal.signal(number, self._end) for number in _ENDING}
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: self.wake())
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the screen, the settings and the signal handlers."""
        self.suspend()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._awake)
        os.close(self._waker)

    def resume(self) -> None:
        """Take the screen."""
        tty.setcbreak(self._input, termios.TCSANOW)
        self._write(_ENTER)

    def suspend(self) -> None:
        """Give the screen back as it was."""
        self._write(_LEAVE)
        try:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
        except termios.error:
            self.has_ended = True

    def _end(self, *_: object) -> None:
        self.has_ended = True
        self.wake()

    def wake(self) -> None:
        """End a wait; callable from any thread and from a signal handler."""
        try:
            os.write(self._waker, b"\0")
        except OSError:
            return  # it is full, so the wait ends anyway, or it is closed

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            found = os.get_terminal_size(self._output)
        except OSError:
            found = shutil.get_terminal_size((80, 24))
        return max(1, found.columns), max(1, found.lines)

    def wait(self, seconds: float) -> list[str]:
        """Return the keys that came; none after `seconds`, or when `wake` was called."""
        ready, _, _ = select.select([self._input, self._awake], [], [], seconds)
        if self._awake in ready:
            os.read(self._awake, _READ)
        if self._input not in ready:
            return []
        try:
            typed = os.read(self._input, _READ)
        except OSError:
            typed = b""
        self.has_ended = self.has_ended or not typed
        return read_keys(typed)

    def draw(self, lines: Sequence[str]) -> None:
        """Write a frame from the top left; the rest of each line, and of the screen, is erased."""
        self._write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except OSError:
                self.has_ended = True
                return


def read_keys(typed: bytes) -> list[str]:
    """Return the keys of what a terminal sent; unknown sequences are left out."""
    keys: list[str] = []
    while typed:
        size = next((size for size in (4, 3) if typed[:size] in _KEYS and len(typed) >= size), 1)
        if size == 1 and typed[:1] == b"\x1b" and typed[1:2] in (b"[", b"O"):
            size = next((at for at in range(2, len(typed)) if 0x40 <= typed[at] < 0x7F), len(typed) - 1) + 1
            typed = typed[size:]
            continue
        if size == 1 and typed[0] >= 0x80:
            return [*keys, *typed.decode("utf-8", "ignore")]
        keys.append(_KEYS.get(typed[:size], chr(typed[0])))
        typed = typed[size:]
    return keys


def is_utf8(environ: dict[str, str]) -> bool:
    """Return whether the locale of the terminal is UTF-8.

    Python itself sets LC_CTYPE to C.UTF-8 where the locale is C (PEP 538), which says nothing of the terminal.
    """
    base = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    is_coerced = not environ.get("LC_ALL") and environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8")
    if is_coerced:
        base = environ.get("LANG") or ""
    return base.lower().replace("-", "").endswith("utf8")
