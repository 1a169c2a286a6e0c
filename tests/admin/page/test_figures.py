"""The share of the cloud is that of a window of which the points had time to arrive."""

from __future__ import annotations

from types import SimpleNamespace

from relay.admin.page.figures import settled_window


def window(stored_at, waiting):
    return SimpleNamespace(stored_at=stored_at, waiting=waiting)


def test_a_window_that_is_being_sent_is_not_shown():
    old, new = window(100.0, 0), window(160.0, 7)
    assert settled_window([old, new], 170.0) is old
    assert settled_window([old, new], 176.0) is new, "its points should be there"
    assert settled_window([old, window(160.0, 0)], 161.0).stored_at == 160.0
    assert settled_window([new], 161.0) is None
    assert settled_window([], 161.0) is None
