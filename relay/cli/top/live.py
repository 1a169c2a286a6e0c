"""Runs the live view: a thread asks the relay each second, the main thread reads keys and draws."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

from relay.cli import COMMANDS
from relay.cli.top.frame import Shape, frame_lines, selected_name
from relay.cli.top.terminal import Terminal, is_utf8
from relay.cli.top.view import View

if TYPE_CHECKING:
    from relay.cli.top.figures import Figures

_INTERVAL: Final = 1.0


class Poller:
    """State: the thread, and whether it must ask again at once, or end.

    Args:
        figures: refreshed by the thread alone; reading them meanwhile is safe, as every answer is replaced whole.
        view: what is shown.
        terminal: woken after each answer.
    """

    def __init__(self, figures: Figures, view: View, terminal: Terminal) -> None:
        self._figures, self._view, self._terminal = figures, view, terminal
        self._changed = threading.Event()
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._thread.start()

    def ask_now(self) -> None:
        """Ask again without waiting for the next second: another table is shown."""
        self._changed.set()

    def stop(self) -> None:
        """Let the thread end after its present request; it is not waited for, as the relay may hang."""
        self._has_ended = True
        self._changed.set()

    def _run(self) -> None:
        while not self._has_ended:
            if not self._view.is_held:
                self._figures.refresh(self._view)
                self._terminal.wake()
            self._changed.wait(_INTERVAL)
            self._changed.clear()


def run_live(figures: Figures) -> None:
    """Show the relay until `q` or a signal.

    Raises:
        RelayError: the relay does not answer at the start.
    """
    view = View()
    figures.refresh(view)
    with Terminal() as terminal:
        poller = Poller(figures, view, terminal)
        try:
            while not (view.has_ended or terminal.has_ended):
                _draw(figures, view, terminal)
                for key in terminal.wait(_INTERVAL):
                    view.press(key, selected=selected_name(figures, view))
                    poller.ask_now()
                if view.wants_tap:
                    _tap(view, terminal)
        finally:
            poller.stop()


def _draw(figures: Figures, view: View, terminal: Terminal) -> None:
    width, height = terminal.size
    terminal.draw(frame_lines(figures, view, Shape(width, height, not is_utf8(dict(os.environ)))))


def _tap(view: View, terminal: Terminal) -> None:
    """Run `tap` for the selected name on the whole screen; the view comes back when it ends."""
    name, view.wants_tap = view.wants_tap, ""
    if "tap" not in COMMANDS:
        return
    terminal.suspend()
    subprocess.run([sys.executable, "-m", "relay", "tap", "--", name], check=False)  # noqa: S603 - this program
    terminal.resume()
