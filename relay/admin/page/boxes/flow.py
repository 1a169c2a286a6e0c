"""Box 2: from packets to the cloud; where is it lost? Each loss links to its box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.admin.page.html import Html, box, element, link
from relay.wording import as_duration, as_size, number

if TYPE_CHECKING:
    from relay.admin.page.figures import Flow


def flow_box(flow: Flow, *, has_access: bool) -> Html:
    """Return the stages, what each lost in the last hour, and the balance of the books."""
    span = as_duration(flow.now.wall - flow.hour.wall)
    stages = element("ol", *_stages(flow), class_="flow")
    losses = element("dl", *_losses(flow, has_access=has_access), class_="losses", aria_label="Losses")
    balance = "The books balance." if not flow.imbalance else f"The books do not balance: {number(flow.imbalance)} off."
    return box("flow", "Flow", stages, losses, element("p", balance), note=f"Losses are those of the last {span}.")


def _stages(flow: Flow) -> list[Html]:
    window = flow.window
    share = f"{100 * window.delivered // window.points} %" if window and window.points else "-"
    where = f"{as_size(flow.spool_bytes)} of {as_size(flow.spool_limit)}" if flow.spool_limit else "in memory"
    per_minute = round(flow.now.requests_per_minute or 0)
    return [
        *([_stage("senders", number(flow.senders), "last minute")] if flow.senders is not None else []),
        _stage("packets", number(round(flow.packets)), "a second"),
        _stage("lines", number(round(flow.lines)), "a second"),
        _stage("series", number(flow.now.series or 0), f"of {number(flow.series_limit)}"),
        _stage("points", number(flow.now.points or 0), "last window"),
        _stage("waiting", number(flow.now.waiting), where),
        _stage("cloud", share, "last window"),
        _stage("requests", number(per_minute), f"of {number(flow.requests_limit)} a minute"),
    ]


def _stage(name: str, figure: str, of: str) -> Html:
    return element("li", element("span", name), " ", element("b", figure), " ", element("small", of), data_stage=name)


def _losses(flow: Flow, *, has_access: bool) -> list[Html]:
    now, hour = flow.now, flow.hour
    return [
        _loss("kernel", now.kernel_drops - hour.kernel_drops, "packets", "#windows"),
        _loss("rejected", now.rejected - hour.rejected, "lines", "#senders" if has_access else "#windows"),
        _loss("overflow", now.overflow - hour.overflow, "samples", "#series" if has_access else "#hour"),
        _loss("by rule", now.intended - hour.intended, "samples", "#rules" if has_access else "#windows"),
        _loss("samples", now.lost_samples - hour.lost_samples, "dropped", "#windows"),
        _loss("points", now.lost_points - hour.lost_points, "dropped", "#windows"),
        _loss("refused", now.refused_points - hour.refused_points, "points", "#windows"),
        _loss("dead letters", flow.dead_letters, "now", "#dead-letters" if has_access else "#windows"),
    ]


def _loss(name: str, count: int, unit: str, to: str) -> Html:
    shown = element("dd", element("b", number(count)), " ", unit)
    return element("div", element("dt", link(to, name)), shown, class_="some" if count else None)
