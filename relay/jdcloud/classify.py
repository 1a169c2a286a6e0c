"""Classifies an answer of the cloud; tests/jdcloud/test_classify.py has one row for each case.

Pure and total: the body may be any bytes, and none may raise. A point counts as delivered only if the cloud says so:
`success` is true, or the list of bad points names other points. Every other answer with status 200 leaves open what was
stored, so the batch is kept. The service reports bad points in four known shapes.

Does not know: how often a batch was tried, what is done with a verdict.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from relay import limits
from relay.clock import read_http_date
from relay.jdcloud.codec import decode, lower_keys, read_object, words_of
from relay.model import Batch, Delivered, Misconfigured, Refusal, Refused, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RETRY_AFTER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_RETRY_AFTER_MIN: Final = 0.5
_RETRY_AFTER_MAX: Final = 120.0
_DETAIL_BYTES: Final = 500
_EXCERPT_BYTES: Final = 512
"""Bytes of an unintelligible body that are quoted in the verdict."""
_REQUEST_TIMEOUT: Final = 408
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
        case status if status == _REQUEST_TIMEOUT or status >= 500:
            cause = "timeout" if status == _REQUEST_TIMEOUT else "5xx"
            detail, is_ambiguous = _detail(answer, reply), status != _NOT_STORED
            return Unavailable(detail=detail, cause=cause, ambiguous=is_ambiguous, status=status)
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
    entries = _listed_entries(answer)
    if not entries:
        return None
    refusals, unmatched = _match_refusals(entries, batch.body)
    if not refusals:
        return _unreadable("a list of bad points that names none of the request", reply, unmatched=unmatched)
    return Delivered(request_id=_request_id(answer), refusals=refusals, unmatched=unmatched, status=reply.status)


def _unreadable(what: str, reply: Reply, *, unmatched: tuple[str, ...] = ()) -> Unavailable:
    text = reply.body[:_EXCERPT_BYTES].decode("utf-8", "replace")
    detail = f"HTTP {reply.status} with {what}: {text}"
    return Unavailable(
        detail=detail, cause="bad_answer", ambiguous=True, unreadable=True, unmatched=unmatched, status=reply.status
    )


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


# --- the list of bad points ------------------------------------------------------------------------------------------

# Keys are compared without regard to case, and a bad point may be a JSON object or a text that contains one.
#
# Invariant: an entry refuses a point only if it names a metric and agrees with exactly one point, in every key that
# both have. An entry that agrees with no point, with several, or with one that is refused already, refuses none: its
# point is unknown, and a wrong guess would count a stored point as refused.

_LISTS: Final = ("errmetricdatalist", "metricdatalist")
_NAMED_BYTES: Final = 100
_ENTRIES: Final = 2 * limits.POINTS_PER_REQUEST
"""Most entries read of a list; further ones can only repeat points or name foreign ones."""


def _listed_entries(answer: dict[str, Any]) -> Sequence[Any]:
    """Return the entries of the list of bad points; an empty sequence without such a list."""
    result = lower_keys(answer.get("result"))
    lists = (result.get(name) for name in _LISTS)
    return next((entries for entries in lists if isinstance(entries, list) and entries), ())


def _match_refusals(entries: Sequence[Any], body: bytes) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """Match the entries with the points of a request.

    Args:
        entries: entries of the list of bad points.
        body: body of the request.

    Returns:
        The refused points, and a description of each entry that refuses none.
    """
    points = [lower_keys(point) for point in decode(body)["metricDataList"]]
    refusals: dict[int, str] = {}
    unmatched: list[str] = []
    for entry in islice(entries, _ENTRIES):
        named = lower_keys(entry)
        described = _described(named)
        detail = words_of(named.get("errdetail"))[:_DETAIL_BYTES] or "no detail"
        found = [index for index, point in enumerate(points) if _agrees(described, point)]
        if len(found) == 1 and found[0] not in refusals:
            refusals[found[0]] = detail
        else:
            unmatched.append(f"{words_of(described.get('metric'))[:_NAMED_BYTES] or 'no metric'}: {detail}")
    unmatched += ["not read"] * (len(entries) - _ENTRIES)
    found_bad = tuple(Refusal(index=index, detail=detail) for index, detail in sorted(refusals.items()))
    return found_bad, tuple(unmatched)


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    bad = entry.get("errmetricdata", entry.get("data"))
    return (read_object(bad.encode()) or {}) if isinstance(bad, str) else lower_keys(bad)


def _agrees(described: dict[str, Any], point: dict[str, Any]) -> bool:
    """Return whether an entry may mean a point: it names a metric, and the keys and statistics of both agree."""
    if "metric" not in described:
        return False
    return all(
        _agrees_in_values(described[key], value) if key == "values" else described[key] == value
        for key, value in point.items()
        if key in described
    )


def _agrees_in_values(described: object, values: dict[str, Any]) -> bool:
    known = lower_keys(described)
    return all(known[name] == value for name, value in values.items() if name in known)
