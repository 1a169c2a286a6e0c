"""The sentence that all is well, for `status` and the page; what is wrong is worded by the judge (daemon/health/)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.wording import as_clock, as_window

if TYPE_CHECKING:
    from relay.admin.answers.status import StatusAnswer


def all_well(answer: StatusAnswer) -> str:
    """Return what is known to be in the cloud."""
    window, done, seconds = answer.window, answer.delivered_window, answer.window_seconds
    if window is None:
        return f"no window has closed yet, the first one lasts until {_next_close(answer)}"
    if done is None:
        return "the points of the first window are being sent"
    where = "the cloud" if answer.cloud.provider in ("", "jdcloud") else answer.cloud.host
    sent, end = answer.cloud.last_delivery, done.timestamp() + seconds
    unit = "the minute" if seconds == 60 else "the window"
    after = f", {sent.timestamp() - end:.1f} s after {unit} ended" if sent and sent.timestamp() > end else ""
    return f"everything up to {as_window(done.timestamp(), seconds)} is in {where}{after}"


def _next_close(answer: StatusAnswer) -> str:
    seconds = answer.window_seconds
    return as_clock((answer.time.timestamp() // seconds + 1) * seconds)
