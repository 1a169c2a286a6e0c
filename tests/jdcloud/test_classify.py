"""Every answer that the service gives, and what it means: one row each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.jdcloud.classify import classify
from relay.jdcloud.emulator.shapes import SHAPES, partial_failure
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL
from relay.model import Batch, Delivered, Misconfigured, Refusal, Refused, Reply, Throttled, Unavailable

NOW = 1_764_000_000.0
POINTS = [
    {
        "namespace": "n",
        "metric": f"m{n % 3}",
        "dimensions": {"host": f"h{n}"},
        "timestamp": 1764000000,
        "type": 2,
        "values": {},
    }
    for n in range(5)
]
BATCH = Batch(window=0, points=5, body=BODY_HEAD + b",".join(json.dumps(p).encode() for p in POINTS) + BODY_TAIL)


def verdict(status: int, body: object = b"", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(Reply(status=status, headers=headers or {}, body=raw), BATCH, now=NOW)


def error(code: int) -> dict:
    return {"requestId": "r", "error": {"code": code, "status": "STATUS", "message": "words"}}


def test_all_stored():
    assert verdict(200, {"requestId": "r", "result": {"success": True}}) == Delivered(request_id="r")
    assert verdict(
        200, {"requestId": "r", "error": None, "result": {"success": True, "errMetricDataList": []}}
    ) == Delivered(request_id="r")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("indexes", [[0], [1, 4], [0, 1, 2, 3, 4]])
def test_listed_points_in_every_shape(shape, indexes):
    status, body = partial_failure(shape, [(POINTS[n], f"detail {n}") for n in reversed(indexes)], "r")
    refusals = tuple(Refusal(index=n, detail=f"detail {n}") for n in indexes)
    assert verdict(status, body) == Delivered(request_id="r", refusals=refusals)


def test_a_listed_point_may_be_described_in_part():
    body = {
        "requestId": "r",
        "result": {"errMetricDataList": [{"errMetricData": {"metric": "m1"}, "errDetail": "d"}] * 2},
    }
    assert verdict(200, body).refusals == (Refusal(index=1, detail="d"), Refusal(index=4, detail="d"))


@pytest.mark.parametrize("point", [{"metric": "unknown"}, "not json", 7, None])
def test_a_listed_point_that_nobody_sent_refuses_the_request(point):
    body = {"requestId": "r", "result": {"errMetricDataList": [{"errMetricData": point, "errDetail": "d"}]}}
    assert isinstance(verdict(200, body), Refused)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(400)),
        (400, b"<html>"),
        (400, b""),
        (200, {"requestId": "r", "result": {"success": False}}),
        (200, error(400)),
    ],
)
def test_a_refused_request(status, body):
    assert isinstance(verdict(status, body), Refused)


def test_the_clouds_own_words_are_kept():
    assert verdict(400, error(400)) == Refused(detail="HTTP 400 STATUS words", request_id="r")
    assert verdict(413, error(413)).too_large


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.5),
        ("1000", 120.0),
        ("2.5", 2.5),
        ("Mon, 24 Nov 2025 16:00:30 GMT", 30.0),
        ("soon", None),
        ("", None),
    ],
)
def test_throttled(header, seconds):
    answer = verdict(429, error(429), {"retry-after": header})
    assert isinstance(answer, Throttled)
    assert answer.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "ambiguous"), [(500, True), (502, True), (503, False), (504, True), (408, True), (599, True)]
)
def test_unavailable(status, ambiguous):
    answer = verdict(status, b"<html>bad gateway</html>")
    assert isinstance(answer, Unavailable)
    assert answer.ambiguous is ambiguous
    assert not answer.unreadable


@pytest.mark.parametrize("body", [b"", b"<html>it works</html>", b'{"requestId":"r","res', b"[]", b"{}", b'"x"'])
def test_an_answer_that_cannot_be_read(body):
    answer = verdict(200, body)
    assert isinstance(answer, Unavailable)
    assert (answer.ambiguous, answer.unreadable) == (True, True)


@pytest.mark.parametrize(
    ("status", "credentials"),
    [(401, True), (403, True), (404, False), (405, False), (301, False), (302, False), (422, False)],
)
def test_misconfigured(status, credentials):
    answer = verdict(status, error(status))
    assert isinstance(answer, Misconfigured)
    assert (answer.status, answer.credentials) == (status, credentials)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["result", "errMetricDataList", "errMetricData", "error", "success", "data", "metric"]),
            inner,
            max_size=3,
        )
    ),
)


@given(st.integers(100, 600), json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
def test_no_answer_raises(status, body):
    assert verdict(status, body) is not None
