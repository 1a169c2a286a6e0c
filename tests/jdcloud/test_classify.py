"""Every answer that the service gives, and what it means: one row each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clock import read_http_date
from relay.jdcloud.classify import classify
from relay.jdcloud.points import BODY_HEAD, BODY_TAIL
from relay.model import Batch, Delivered, Misconfigured, Refusal, Refused, Reply, Throttled, Unavailable
from relay.tools.emulator.answers import SHAPES, partial_failure

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


def listing(*entries: object, status: int = 200, success: object = False):
    """The verdict on an answer that lists these points as bad."""
    listed = [{"errMetricData": entry, "errDetail": f"detail {n}"} for n, entry in enumerate(entries)]
    return verdict(status, {"requestId": "r", "result": {"success": success, "errMetricDataList": listed}})


def test_an_entry_convicts_the_one_point_that_agrees_in_every_key_it_has():
    assert listing({"metric": "m1", "dimensions": {"host": "h4"}}).refusals == (Refusal(index=4, detail="detail 0"),)
    assert listing(POINTS[2] | {"unit": None}).refusals == (Refusal(index=2, detail="detail 0"),)


FOREIGN = [
    {"metric": "unknown"},
    *({**POINTS[3], key: "other"} for key in ("namespace", "metric", "timestamp", "type")),
    {**POINTS[3], "dimensions": {"host": "h3", "more": "x"}},
    {"metric": "m1"},  # two points have it
    {"dimensions": {"host": "h3"}},
    "not json", 7, None, {}, [],
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("entry", FOREIGN, ids=str)
def test_a_list_that_convicts_no_point_leaves_everything_open(status, entry):
    """Which points are stored is not known then: the batch is kept, and never sent in parts."""
    answer = listing(entry, entry, status=status)
    assert isinstance(answer, Unavailable)
    assert (answer.unreadable, answer.ambiguous, len(answer.unmatched)) == (True, True, 2)


@pytest.mark.parametrize("entry", [*FOREIGN, POINTS[0]], ids=str)
def test_an_entry_that_is_repeated_foreign_or_ambiguous_convicts_no_other_point(entry):
    answer = listing(POINTS[0], entry)
    assert answer == Delivered(
        request_id="r", refusals=(Refusal(index=0, detail="detail 0"),), unmatched=answer.unmatched
    )
    [words] = answer.unmatched
    assert words.endswith(": detail 1")


def test_a_list_without_end_is_read_to_a_bound():
    answer = listing(POINTS[0], *[[]] * 100_000)
    assert (len(answer.refusals), len(answer.unmatched)) == (1, 100_000)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(400)),
        (400, b"<html>"),
        (400, b""),
        (200, {"requestId": "r", "result": {"success": False}}),
        (200, {**error(400), "result": {"success": False}}),
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
        ("9" * 5000, 120.0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 120.0),
        ("Wed, 21 Oct 1900 07:28:00 GMT", 0.5),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 0000 07:28:00 GMT", None),
        ("Wed, 31 Feb 2026 99:99:99 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 +9999999999", None),
        ("1e999", None),
        ("\u0665", None),
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


SAYS_NOTHING = [
    b"",
    b"<html>it works</html>",
    b'{"requestId":"r","res',
    b"[]",
    b"{}",
    b'"x"',
    b'{"requestId":"r"}',
    b'{"requestId":"r","result":null}',
    b'{"requestId":"r","result":{}}',
    b'{"requestId":"r","result":{"errMetricDataList":[]}}',
    b'{"requestId":"r","code":500,"message":"internal"}',
    b'{"requestId":"r","error":{"code":500}}',
    b'{"requestId":"r","result":{"success":"true"}}',
    b'{"requestId":"r","result":{"success":"false"}}',
    b'{"requestId":"r","result":{"success":1}}',
    b'{"requestId":"r","result":{"success":null}}',
    b'{"requestId":"r","result":{"success":[true]}}',
    b'{"requestId":"r","success":true}',
    b'{"requestId":"r","result":{"success":true},"error":{"code":500}}',
    b'{"requestId":"r","result":{"success":true},"code":500}',
    b'{"requestId":"r","result":{"success":true,"Success":false}}',
]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", SAYS_NOTHING)
def test_an_answer_that_does_not_say_success_is_no_delivery(body, status):
    answer = verdict(status, body)
    assert isinstance(answer, Unavailable)
    assert (answer.ambiguous, answer.unreadable) == (True, True)
    assert body.decode() in answer.detail


@pytest.mark.parametrize(
    ("status", "credentials"),
    [(401, True), (403, True), (404, False), (405, False), (301, False), (302, False), (422, False)],
)
def test_misconfigured(status, credentials):
    answer = verdict(status, error(status))
    assert isinstance(answer, Misconfigured)
    assert (answer.status, answer.credentials) == (status, credentials)


KEYS = [
    *("requestId", "result", "Result", "error", "code", "message", "status", "success", "Success"),
    *("errMetricDataList", "metricDataList", "errMetricData", "data", "errDetail"),
    *("namespace", "metric", "dimensions", "timestamp", "values"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)
deep = st.builds(
    lambda key, depth: b'{"requestId":"r","%b":%b7%b}' % (key.encode(), b"[" * depth, b"]" * depth),
    st.sampled_from(KEYS),
    st.integers(200, 1100),
)
bodies = json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50) | deep
headers_ = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "content-encoding"]),
    st.text(max_size=30) | st.from_regex(r"\w{3}, \d{1,20} \w{3} \d{1,30} \d+:\d+:\d+ (GMT|[+-]\d+)", fullmatch=True),
)


@given(st.integers(0, 999), bodies, headers_)
def test_no_answer_raises_and_delivered_is_what_the_cloud_called_a_success(status, body, headers):
    answer = verdict(status, body, headers)
    assert answer is not None
    read_http_date(headers.get("date", ""))
    if isinstance(answer, Delivered) and not answer.refusals:
        result = next(value for key, value in json.loads(body).items() if key.lower() == "result")
        assert next(value for key, value in result.items() if key.lower() == "success") is True
