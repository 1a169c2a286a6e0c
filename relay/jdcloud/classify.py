"""Classifies an answer of the cloud; tests/jdcloud/test_classify.py has one row for each case.

Pure and total: the body may be any bytes, and none may raise. A point counts as delivered only if the cloud says so:
`success` is true, or the list of bad points names other points. Every other answer with status 200 leaves open what was
stored, so the batch is kept. The service reports bad points in four known shapes (blame.py).

Does not know: how often a batch was tried, what is done with a verdict.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from relay.clock import read_http_date
from relay.jdcloud.blame import blame, listed_entries
from relay.jdcloud.codec import lower_keys, read_object, words_of
from relay.model import Batch, Delivered, Misconfigured, Refused, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

_RETRY_AFTER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_RETRY_AFTER_MIN: Final = 0.5
_RETRY_AFTER_MAX: Final = 120.0
_DETAIL_BYTES: Final = 500
_EXCERPT_BYTES: Final = 512
"""Bytes of an unintelligible body that are quoted in the verdict."""
_NOT_STORED: Final = 503
_CODES_OF_SUCCESS: Final = (None, 0, 200)
"""Values of `code` that are consistent with success."""


def classify(reply: Reply, batch: Batch, *, now: float) -> Verdict:
    """Return the verdict on a batch.

    Args:
        reply: a complete answer.
        batch: the batch that was sent; decoded only if points are refused.
        now: wall time, for a Retry-After that is a date.
    """
    answer = read_object(reply.body) or {}
    match reply.status:
        case 200 | 201 | 202 | 204:
            return _stored(answer, batch, reply)
        case 400:
            return _partly_stored(answer, batch, reply) or _refused(answer, reply)
        case 413:
            return _refused(answer, reply, too_large=True)
        case 429:
            return Throttled(retry_after=_retry_after(reply.headers, now), detail=_detail(answer, reply))
        case status if status == 408 or status >= 500:
            return Unavailable(detail=_detail(answer, reply), ambiguous=status != _NOT_STORED, status=status)
        case status:
            return Misconfigured(status=status, detail=_detail(answer, reply), credentials=status in (401, 403))


def _stored(answer: dict[str, Any], batch: Batch, reply: Reply) -> Verdict:
    partly = _partly_stored(answer, batch, reply)
    if partly is not None:
        return partly
    success = lower_keys(answer.get("result")).get("success")
    if success is False:
        return _refused(answer, reply)
    if success is True and not answer.get("error") and answer.get("code") in _CODES_OF_SUCCESS:
        return Delivered(request_id=_request_id(answer), status=reply.status)
    return _unreadable("a body that does not say what was stored", reply)


def _partly_stored(answer: dict[str, Any], batch: Batch, reply: Reply) -> Verdict | None:
    """Return the verdict of an answer with a list of bad points; None without such a list."""
    entries = listed_entries(answer)
    if not entries:
        return None
    refusals, unmatched = blame(entries, batch.body)
    if not refusals:
        return _unreadable("a list of bad points that names none of the request", reply, unmatched=unmatched)
    return Delivered(request_id=_request_id(answer), refusals=refusals, unmatched=unmatched, status=reply.status)


def _unreadable(what: str, reply: Reply, *, unmatched: tuple[str, ...] = ()) -> Unavailable:
    text = reply.body[:_EXCERPT_BYTES].decode("utf-8", "replace")
    detail = f"HTTP {reply.status} with {what}: {text}"
    return Unavailable(detail=detail, ambiguous=True, unreadable=True, unmatched=unmatched, status=reply.status)


def _refused(answer: dict[str, Any], reply: Reply, *, too_large: bool = False) -> Refused:
    return Refused(
        detail=_detail(answer, reply), request_id=_request_id(answer), too_large=too_large, status=reply.status
    )


def _request_id(answer: dict[str, Any]) -> str:
    return words_of(answer.get("requestid"))[:_DETAIL_BYTES]


def _detail(answer: dict[str, Any], reply: Reply) -> str:
    """Return the cloud's error text, cut to the length of a log field."""
    error = answer.get("error")
    known = lower_keys(error)
    words = " ".join(filter(None, (words_of(known.get("status")), words_of(known.get("message")))))
    text = words or words_of(error) or reply.body[:_DETAIL_BYTES].decode("utf-8", "replace")
    return f"HTTP {reply.status} {text}".strip()[:_DETAIL_BYTES]


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    text = headers.get("retry-after", "").strip()
    if _RETRY_AFTER.fullmatch(text):
        seconds = float(text)
    elif (date := read_http_date(text)) is not None:
        seconds = date - now
    else:
        return None
    return min(max(seconds, _RETRY_AFTER_MIN), _RETRY_AFTER_MAX)
