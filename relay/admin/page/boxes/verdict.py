"""Box 1: is it well, and what is to be done?

The judge decides and words the findings. For a client without access the answer has codes and their meanings alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from relay.admin.page.html import Html, code, element, join
from relay.admin.verdict import all_well
from relay.wording import as_clock

if TYPE_CHECKING:
    from relay.admin.answers.status import StatusAnswer, StatusFinding

Shown: TypeAlias = Literal["problem", "warning", "ok"]
_WORDS: Final = {"problem": "PROBLEM", "warning": "WARNING", "note": "NOTE"}


def page_level(answer: StatusAnswer) -> Shown:
    """Return the worst level; a note alone is ok."""
    return answer.level if answer.level in ("problem", "warning") else "ok"


def page_title(answer: StatusAnswer, host: str) -> str:
    """Return the title of the window, such as `PROBLEM RLY120 web_1`."""
    level = page_level(answer)
    return f"OK {host}" if level == "ok" else f"{_WORDS[level]} {answer.findings[0].code} {host}"


def verdict_box(answer: StatusAnswer, *, has_access: bool) -> Html:
    """Return the worst finding in full, and the others in a line each."""
    level = page_level(answer)
    first, others = (None, answer.findings) if level == "ok" else (answer.findings[0], answer.findings[1:])
    heading = _heading(first) if first else element("h1", element("span", "OK", class_="level"), " ", all_well(answer))
    facts = _facts(first, has_access=has_access) if first else ""
    also = element("ul", *map(_short, others), class_="also", aria_label="Also") if others else ""
    return element("section", heading, facts, also, id="verdict", class_=f"verdict {level}", aria_label="Verdict")


def _heading(finding: StatusFinding) -> Html:
    level = element("span", _WORDS[finding.level], " ", finding.code, class_="level")
    return element("h1", level, " ", finding.sentence)


def _facts(finding: StatusFinding, *, has_access: bool) -> Html:
    since, following = as_clock(finding.since.timestamp()), code(f"statsd-relay {finding.next}")
    facts: tuple[tuple[str, object], ...] = (("since", since), ("next", following))
    if has_access:
        facts = (("cloud", finding.cloud), ("fix", finding.fix), ("safe", finding.safe), *facts)
    return element("dl", *(_fact(word, text) for word, text in facts if text), class_="facts")


def _fact(word: str, text: object) -> Html:
    return element("div", element("dt", word), element("dd", text))


def _short(finding: StatusFinding) -> Html:
    level = element("span", _WORDS[finding.level], " ", finding.code, class_=f"level {finding.level}")
    return element("li", join([level, " ", finding.sentence, " ", code(f"statsd-relay {finding.next}")]))
