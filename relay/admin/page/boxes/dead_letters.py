"""Box 9: what was refused for good, why, and the button that sends it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, join, name, table
from relay.wording import as_clock, as_size, from_iso, number, plural

if TYPE_CHECKING:
    from relay.admin.answers.dead_letters import Letter, LettersAnswer

_SHOWN: Final = 10
_HEADS: Final = ("metric", "reason", "the cloud's words", "window", "refused at")


def dead_letters_box(answer: LettersAnswer | None, *, may_change: bool) -> Html:
    """Return counts, the newest letters, and with a token the form of a replay; None: they are not kept."""
    if answer is None:
        return _box(element("p", "Dead letters are not kept: there is no state directory, or it cannot be read."))
    if not answer.letters:
        return _box(element("p", "There are none."), _replaying(answer))
    used = f"{as_size(answer.bytes)} of {as_size(answer.limit_bytes)}"
    note = f"{plural(answer.letters, 'dead letter')}, {used}. The newest first."
    rows = [_cells(letter) for letter in answer.last[:_SHOWN]]
    shown = table("The newest dead letters", _HEADS, rows, left=len(_HEADS))
    return _box(_counts(answer), shown, _replaying(answer), _form() if may_change else _command(), note=note)


def _box(*children: object, note: str = "") -> Html:
    return box("dead-letters", "Dead letters", *children, note=note)


def _counts(answer: LettersAnswer) -> Html:
    reasons = ", ".join(f"{reason} {number(count)}" for reason, count in answer.reasons.items())
    metrics = join((join([code(one.metric), f" {number(one.letters)}"]) for one in answer.metrics), ", ")
    more = f" and {plural(answer.more_metrics, 'more metric')}" if answer.more_metrics else ""
    facts = (("reasons", reasons), ("metrics", join([metrics, more])))
    listed = (element("div", element("dt", word), element("dd", text)) for word, text in facts)
    return element("dl", *listed, class_="facts")


def _cells(letter: Letter) -> list[object]:
    window = as_clock(from_iso(letter.window))
    refused = as_clock(from_iso(letter.time))
    words = element("span", letter.detail, class_="wide")
    return [name(letter.metric), letter.reason, words, window, refused]


def _replaying(answer: LettersAnswer) -> Html:
    waiting = len(answer.replaying)
    return element("p", f"{plural(waiting, 'file')} of a replay will be sent.") if waiting else Html("")


def _form() -> Html:
    button = element("button", "Replay all", type="submit")
    note = element("span", "Each point is sent once more.", class_="soft")
    return element("form", button, note, method="post", action="/dead-letters/replay")


def _command() -> Html:
    return element("p", "Replay: ", code("statsd-relay dead replay"), ", or open this page by a link.")
