"""Box 3: where is MY metric? All that is known of a name, and what would become of a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.admin.page.html import Html, box, code, element, join, name, table
from relay.wording import as_clock, from_iso, number

if TYPE_CHECKING:
    from relay.admin.answers.explain import ExplainAnswer
    from relay.admin.answers.series import NameAnswer, OneSeries, RuleOfName, SentPoint

_VERDICTS: Final = {
    "sent": "SENT",
    "dropped": "DROPPED",
    "refused": "REFUSED",
    "never": "NEVER RECEIVED",
    "rejected": "REJECTED",
    "event": "EVENT",
}
_POINTS: Final = 5
_HEADS: Final = ("window", "as sent", "outcome", "at", "the cloud's words")


def find_box(
    *, metric: str, line: str, known: NameAnswer | None, traced: ExplainAnswer | None, trouble: str = ""
) -> Html:
    """Return the two forms, with the answer of the one that was sent.

    Args:
        metric: the name that was asked for.
        line: the line that was tried.
        known: what is known of the name.
        traced: what would become of the line.
        trouble: why the question has no answer.
    """
    forms = element(
        "div",
        _form("find", "Find a metric, as received or as sent", "web.hits", metric),
        _form("line", "Try a line; it is not counted", "web.hits:1|c", line),
        class_="forms",
    )
    answers = [_known(known) if known else "", _traced(traced) if traced else ""]
    problem = element("p", trouble) if trouble else ""
    return box("find", "Find", forms, problem, *answers)


def _form(field: str, label: str, example: str, value: str) -> Html:
    text = element("input", type="text", name=field, id=field, value=value, placeholder=example, autocomplete="off")
    labelled = element("div", element("label", label, for_=field), text)
    return element("form", labelled, element("button", "Find" if field == "find" else "Try"), action="/#find")


def _known(answer: NameAnswer) -> Html:
    verdict = element("strong", _VERDICTS.get(answer.verdict, answer.verdict), f" {answer.code}" if answer.code else "")
    lines = [
        element("p", verdict, " ", code(answer.name), ": ", answer.sentence, class_="answer"),
        *map(_rule, answer.rules),
        _names("As sent", answer.metrics),
        _names("As received", answer.received),
        _names("Similar names that came", answer.near),
    ]
    more = element("p", f"{number(answer.others)} more series.") if answer.others else ""
    return element("div", *lines, *map(_series, answer.series), more, role="status")


def _rule(rule: RuleOfName) -> Html:
    does = "drops" if rule.drops else "applies to"
    return element("p", f"Rule {rule.number} ", code(rule.pattern), f" {does} it as {', '.join(map(str, rule.types))}.")


def _names(title: str, names: list[str]) -> Html:
    return element("p", f"{title}: ", join(map(code, names), ", "), ".") if names else Html("")


def _series(one: OneSeries) -> Html:
    tags = join((code(f"{key}={value}") for key, value in one.dimensions.items()), " ")
    full = f"{one.namespace}/{one.metric}" if one.namespace else one.metric
    now = f"open: count {one.open.count:g}, sum {one.open.sum:g}, last {one.open.last:g}" if one.open else ""
    title = element("p", code(full), f" {one.type or ''} ", tags, f"  {now}")
    if not one.points:
        return element("div", title, class_="one")
    rows = [_point(point) for point in one.points[:_POINTS]]
    return element("div", title, table(f"Points of {full}", _HEADS, rows, left=5), class_="one")


def _point(point: SentPoint) -> list[object]:
    values = " ".join(f"{key} {value:g}" for key, value in point.values.items())
    at = as_clock(from_iso(point.at)) if point.at else "-"
    outcome = point.outcome if point.outcome == "accepted" else element("strong", point.outcome)
    return [as_clock(from_iso(point.window)), name(values or "-"), outcome, at, point.detail or "-"]


def _traced(answer: ExplainAnswer) -> Html:
    verdict = element("strong", _VERDICTS[answer.verdict])
    sent = f", {number(len(answer.points))} points" if len(answer.points) > 1 else ""
    head = element("p", verdict, " ", code(answer.line), sent, class_="answer")
    width = max((len(step.label) for step in answer.steps), default=0)
    text = "\n".join(f"{step.label:<{width}}  {step.text}".rstrip() for step in answer.steps)
    shown = element("pre", *_lines(text), tabindex="0", role="region", aria_label="Steps of the line")
    return element("div", head, shown, role="status")


def _lines(text: str) -> list[Html]:
    return [join([line, Html("\n")]) for line in text.split("\n")]
