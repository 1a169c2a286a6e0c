"""Shows progress on a terminal; nothing is redrawn if standard error is a file or a pipe."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from relay.cli.shared.output import say
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal during the work; call the yielded function with the size of each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=max(1, length // 200)) as bar:
        yield bar.update


def follow(step: Callable[[int], object], position: Callable[[], float]) -> Callable[[], None]:
    """Return a function that moves a bar to the current position of the work."""
    done = 0

    def advance() -> None:
        nonlocal done
        now = int(position())
        step(now - done)
        done = now

    return advance


class ChangingLine:
    """State: the latest line. On a terminal one line is redrawn; elsewhere a line is printed when a phase begins."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._phase: object = None
        self._shown = ""

    def say(self, line: str) -> None:
        """Print a line that stays."""
        say(line, err=True)

    def update(self, phase: object, sentence: str) -> None:
        """Show the state of the work; `phase`: the phase to which the sentence belongs."""
        if self._is_terminal and sentence != self._shown:
            click.echo(f"\r\x1b[K{printable(sentence)}", err=True, nl=False)
            self._shown = sentence
        elif phase is not self._phase and not self._is_terminal:
            self.say(sentence)
        self._phase = phase

    def end(self) -> None:
        """Erase the changing line."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
