"""Box 1: is it well, and what is to be done?

The judge decides and words the findings. A client without access sees levels, codes and their meanings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, code, element, join
from relay.errors import CODES
from relay.wording import as_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.answers.finding import Finding

_WORDS: Final = {"problem": "PROBLEM", "warning": "WARNING", "note": "NOTE"}


def page_level(findings: Sequence[Finding]) -> str:
    """Return the worst level: problem, warning or ok."""
    levels = {finding.level for finding in findings}
    return "problem" if "problem" in levels else "warning" if "warning" in levels else "ok"


def page_title(findings: Sequence[Finding], host: str) -> str:
    """Return the title of the window, such as `PROBLEM RLY120 web_1`."""
    level = page_level(findings)
    return f"OK {host}" if level == "ok" else f"{_WORDS[level]} {findings[0].code} {host}"


def verdict_box(findings: Sequence[Finding], well: str, *, has_access: bool) -> Html:
    """Return the worst finding in full, and the others in a line each.

    Args:
        findings: the judge's, in its order.
        well: the judge's sentence if there is no problem and no warning.
        has_access: whether names, settings and words of the cloud are shown.
    """
    level = page_level(findings)
    first, others = (None, findings) if level == "ok" else (findings[0], findings[1:])
    heading = (
        _heading(first, has_access=has_access)
        if first
        else element("h1", element("span", "OK", class_="level"), " ", well)
    )
    facts = _facts(first, has_access=has_access) if first else ""
    also = [_short(finding, has_access=has_access) for finding in others]
    rest = element("ul", *also, class_="also", aria_label="Also") if also else ""
    return element("section", heading, facts, rest, id="verdict", class_=f"verdict {level}", aria_label="Verdict")


def _heading(finding: Finding, *, has_access: bool) -> Html:
    level = element("span", _WORDS[finding.level], " ", finding.code, class_="level")
    return element("h1", level, " ", _sentence(finding, has_access=has_access))


def _sentence(finding: Finding, *, has_access: bool) -> str:
    return finding.sentence if has_access else CODES[finding.code]


def _facts(finding: Finding, *, has_access: bool) -> Html:
    since = as_hour(finding.since)
    if not has_access:
        return element("p", f"since {since}")
    facts = (
        ("cloud", finding.cloud),
        ("fix", finding.fix),
        ("safe", finding.safe),
        ("since", since),
        ("next", code(f"statsd-relay {finding.next}")),
    )
    return element("dl", *(_fact(word, text) for word, text in facts if text), class_="facts")


def _fact(word: str, text: object) -> Html:
    return element("div", element("dt", word), element("dd", text))


def _short(finding: Finding, *, has_access: bool) -> Html:
    level = element("span", _WORDS[finding.level], " ", finding.code, class_=f"level {finding.level}")
    following = [" ", code(f"statsd-relay {finding.next}")] if has_access else []
    return element("li", join([level, " ", _sentence(finding, has_access=has_access), *following]))
