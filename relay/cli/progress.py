"""What a terminal shows while a command works; in a file or a pipe there is nothing that moves."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from relay.cli.output import say
from relay.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], object]]:
    """Show a bar while work goes on, on a terminal only; what is yielded is told each step."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=max(1, length // 200)) as bar:
        yield bar.update


def follow(step: Callable[[int], object], position: Callable[[], float]) -> Callable[[], None]:
    """Return what moves a bar to where the work is."""
    told = 0

    def tell() -> None:
        nonlocal told
        now = int(position())
        step(now - told)
        told = now

    return tell


class ChangingLine:
    """State: what was said last. On a terminal one line that changes, elsewhere a line whenever something begins."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._phase: object = None
        self._shown = ""

    def __repr__(self) -> str:
        """Report what was said."""
        return f"<ChangingLine {self._shown!r}>"

    def say(self, line: str) -> None:
        """Print a line that stays."""
        say(line, err=True)

    def update(self, phase: object, sentence: str) -> None:
        """Show what is going on; `phase`: what it is a part of."""
        if self._is_terminal and sentence != self._shown:
            click.echo(f"\r\x1b[K{printable(sentence)}", err=True, nl=False)
            self._shown = sentence
        elif phase is not self._phase and not self._is_terminal:
            self.say(sentence)
        self._phase = phase

    def end(self) -> None:
        """Take the changing line away."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
