"""`status --wait`: until a window that closes from now on is delivered; for scripts that deploy a relay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from relay.admin.answers.status import StatusAnswer
from relay.cli.running.admin_client import fetch
from relay.cli.running.find import need_relay
from relay.cli.shared.output import say
from relay.errors import ExitCode, RelayError
from relay.wording import as_clock, as_duration, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from relay.cli.running.admin_client import Address
    from relay.cli.running.find import RunningRelay

_POLL: Final = 0.5
_TIME_IS_UP: Final = 1
_PATH: Final = "/api/v1/status"


def wait_for_delivery(
    admin: Sequence[Address] | None, path: Path | None, *, within: float, as_json: bool = False
) -> int:
    """Wait for the delivery of a window that closed after the call; return the exit code.

    Args:
        admin: of `--admin`.
        path: of `-c`.
        within: seconds.
        as_json: print the last answer of the API instead of a sentence.

    Raises:
        RelayError: RLY101, no relay answered in that time.
    """
    ends = time.monotonic() + within
    began: datetime | None = None
    answer: StatusAnswer | None = None
    while True:
        try:
            relay = need_relay(admin, path)
            answer = fetch(relay.reached(), _PATH, StatusAnswer)
        except RelayError:
            if time.monotonic() >= ends and answer is None:
                raise
        else:
            began = began or answer.time
            code, sentence = _judge(answer, began)
            if code is not None:
                return _finish(answer, relay, code=code, sentence=sentence, as_json=as_json)
        if time.monotonic() >= ends and answer is not None:
            sentence = f"not delivered within {as_duration(within)}: {_reason(answer)}"
            return _finish(answer, relay, code=_TIME_IS_UP, sentence=sentence, as_json=as_json)
        time.sleep(max(0.0, min(_POLL, ends - time.monotonic())))


def _judge(answer: StatusAnswer, began: datetime) -> tuple[int | None, str]:
    """Return the exit code and a sentence; None while it is not decided."""
    refused = next((one for one in answer.findings if one.code == "RLY120"), None)
    if refused:
        return ExitCode.CREDENTIALS_REFUSED, f"{refused.code} {refused.sentence}; fix: {refused.fix}"
    window, done = answer.window, answer.delivered_window
    is_new = done is not None and done.timestamp() + answer.window_seconds >= began.timestamp()
    if window is None or done is None or not is_new:
        return None, ""
    at = as_clock(done.timestamp())
    if done == window.start and not window.points:
        return ExitCode.OK, f"the window {at} was quiet: nothing came that had to be delivered"
    return ExitCode.OK, f"the window {at} is delivered" + (
        f", {plural(window.delivered, 'point')}" if done == window.start else ""
    )


def _reason(answer: StatusAnswer) -> str:
    if answer.findings:
        return f"{answer.findings[0].code} {answer.findings[0].sentence}"
    return "no window has closed since; a window lasts " + as_duration(answer.window_seconds)


def _finish(answer: StatusAnswer, relay: RunningRelay, *, code: int, sentence: str, as_json: bool) -> int:
    if as_json:
        built = {**msgspec.to_builtins(answer), "source": relay.as_json(), "result": sentence}
        say(msgspec.json.format(msgspec.json.encode(built)).decode())
    else:
        say(sentence, err=bool(code))
    return code
