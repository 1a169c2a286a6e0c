"""The history of sent requests is bounded, and the newest come first."""

from __future__ import annotations

import sys

import pytest

from relay.delivery.request_history import RequestHistory, SentRequest


def request(number: int, *, size: int = 600, detail: str = "", refused=None) -> SentRequest:
    return SentRequest(
        window=60 * number,
        at=60.0 * number + 63,
        body=bytes(size),
        outcome="accepted",
        detail=detail,
        refused=refused or {},
    )


def test_the_newest_come_first_and_the_oldest_make_room():
    history = RequestHistory(5000)
    for number in range(20):
        history.add(request(number))
    assert [one.window // 60 for one in history] == [19, 18, 17, 16, 15]
    assert (len(history), history.bytes) == (5, 5000)


@pytest.mark.parametrize("limit", [0, 500])
def test_without_room_nothing_is_kept(limit):
    history = RequestHistory(limit)
    history.add(request(1))
    assert (len(history), history.bytes, [*history]) == (0, 0, [])


def test_the_words_of_the_cloud_count():
    history = RequestHistory(10_000)
    history.add(request(1, detail="x" * 5000))
    history.add(request(2, refused=dict.fromkeys(range(50), "y" * 100)))
    assert [one.window for one in history] == [120]


def test_a_request_may_be_added_during_an_iteration():
    history = RequestHistory(10_000)
    history.add(request(1))
    for one in history:
        history.add(request(2))
        assert one.window == 60


def test_what_an_entry_takes_is_what_is_counted():
    assert sys.getsizeof(request(1)) + 3 * 32 + sys.getsizeof({}) < 400
