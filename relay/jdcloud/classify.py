"""What an answer means: one case a row of the table in tests/jdcloud/test_classify.py.

Pure. The service is known to report bad points in four shapes, so keys are matched without regard to case, and the
bad point may be an object or a text that holds one.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from relay.jdcloud.codec import decode, encode
from relay.model import Batch, Delivered, Misconfigured, Refusal, Refused, Reply, Throttled, Unavailable, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTS: Final = ("errmetricdatalist", "metricdatalist")
_RETRY_AFTER_MIN: Final = 0.5
_RETRY_AFTER_MAX: Final = 120.0
_DETAIL_BYTES: Final = 500
_EXCERPT_BYTES: Final = 512
"""Of a body that nobody can read."""
_NOT_STORED: Final = 503
_MATCHED_BY: Final = (("namespace", "metric", "dimensions", "timestamp"), ("metric", "dimensions"), ("metric",))


def classify(reply: Reply, batch: Batch, *, now: float) -> Verdict:
    """Return what to do with a batch.

    Args:
        reply: a complete answer.
        batch: what was sent; read only if points are refused.
        now: wall time, for a Retry-After that is a date.
    """
    answer = _read(reply.body)
    match reply.status:
        case 200 | 201 | 202 | 204:
            return _stored(answer, batch, reply)
        case 400:
            return _refused_points(answer, batch, reply) or _refused(answer, reply)
        case 413:
            return _refused(answer, reply, too_large=True)
        case 429:
            return Throttled(retry_after=_retry_after(reply.headers, now), detail=_detail(answer, reply))
        case status if status == 408 or status >= 500:
            return Unavailable(detail=_detail(answer, reply), ambiguous=status != _NOT_STORED, status=status)
        case status:
            return Misconfigured(status=status, detail=_detail(answer, reply), credentials=status in (401, 403))


def _stored(answer: dict[str, Any] | None, batch: Batch, reply: Reply) -> Verdict:
    if answer is None or not answer.keys() & {"result", "requestid", "error"}:
        text = reply.body[:_EXCERPT_BYTES].decode("utf-8", "replace")
        detail = f"HTTP {reply.status} with a body that cannot be read: {text}"
        return Unavailable(detail=detail, ambiguous=True, unreadable=True, status=reply.status)
    partly = _refused_points(answer, batch, reply)
    if partly is not None:
        return partly
    if answer.get("error") or _lower(answer.get("result")).get("success") is False:
        return _refused(answer, reply)
    return Delivered(request_id=_request_id(answer), status=reply.status)


def _refused(answer: dict[str, Any] | None, reply: Reply, *, too_large: bool = False) -> Refused:
    return Refused(
        detail=_detail(answer, reply), request_id=_request_id(answer), too_large=too_large, status=reply.status
    )


def _refused_points(answer: dict[str, Any] | None, batch: Batch, reply: Reply) -> Verdict | None:
    """Return the verdict of an answer that lists bad points; None if it lists none."""
    listed = _listed(answer)
    if not listed:
        return None
    refusals: dict[int, str] = {}
    points = [_lower(point) for point in decode(batch.body)["metricDataList"]]
    for entry in listed:
        detail = str(entry.get("errdetail") or "no detail")[:_DETAIL_BYTES]
        index = _find(entry, points, refusals)
        if index is None:
            unknown = f"a listed point is not in the batch: {detail}"
            return Refused(detail=unknown, request_id=_request_id(answer), status=reply.status)
        refusals[index] = detail
    found = tuple(Refusal(index=index, detail=detail) for index, detail in sorted(refusals.items()))
    return Delivered(request_id=_request_id(answer), refusals=found, status=reply.status)


def _listed(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    result = _lower((answer or {}).get("result"))
    for name in _LISTS:
        entries = result.get(name)
        if isinstance(entries, list) and entries:
            return [_lower(entry) for entry in entries]
    return []


def _find(entry: dict[str, Any], points: list[dict[str, Any]], known: Mapping[int, str]) -> int | None:
    """Return the position of a listed point: the strictest match that is not listed already."""
    bad = entry.get("errmetricdata", entry.get("data"))
    if isinstance(bad, str):
        bad = _read(bad.encode())
    described = _lower(bad)
    for keys in _MATCHED_BY:
        if keys[0] not in described:
            continue
        wanted = [described.get(key) for key in keys]
        for index, point in enumerate(points):
            if index not in known and [point.get(key) for key in keys] == wanted:
                return index
    return None


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        answer = decode(body)
    except ValueError:
        return None
    return _lower(answer) if isinstance(answer, dict) else None


def _lower(value: object) -> dict[str, Any]:
    """Return an object with its keys in lower case; nothing for what is no object."""
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else {}


def _request_id(answer: dict[str, Any] | None) -> str:
    return str((answer or {}).get("requestid") or "")[:_DETAIL_BYTES]


def _detail(answer: dict[str, Any] | None, reply: Reply) -> str:
    """Return the cloud's own words, cut to a length a log can carry."""
    error = (answer or {}).get("error")
    known = _lower(error)
    words = " ".join(str(known[key]) for key in ("status", "message") if known.get(key))
    text = words or (encode(error) if error else reply.body).decode("utf-8", "replace")
    return f"HTTP {reply.status} {text}".strip()[:_DETAIL_BYTES]


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text[:1].isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return None
    return min(max(seconds, _RETRY_AFTER_MIN), _RETRY_AFTER_MAX)
