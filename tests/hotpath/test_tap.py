"""Taps: what they match, what they lose, and that they change no result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.hotpath.tap import TapFilter
from relay.model import Identity, Kind
from tests.hotpath.test_differential import datagrams
from tests.support.hotpath import NOW, START, close, make, name_all

ONE, OTHER = ("10.1.4.7", 1), ("10.1.4.9", 2)


def watch(*datagrams_: bytes, hotpath=None, peer=ONE, named: bool = True, **filter_):
    """Feed datagrams beside a tap; return the lines of the tap and its counts."""
    hotpath = hotpath or make()
    number = hotpath.open_tap(TapFilter(**{"rate": 1000.0, **filter_}))
    for datagram in datagrams_:
        hotpath.feed(datagram, NOW, peer)
        if named:
            name_all(hotpath)
    lines, counts = hotpath.tapped(number)
    hotpath.close_tap(number)
    return lines, counts


def texts(lines) -> list[bytes]:
    return [line.line for line in lines]


def test_every_line_as_it_came():
    hotpath = make()
    number = hotpath.open_tap(TapFilter())
    hotpath.feed(b"web.a:1|c\r\n\n \t\nbroken\nweb.b:x|ms", NOW, ONE, 3)
    lines, counts = hotpath.tapped(number)
    assert texts(lines) == [b"web.a:1|c", b"broken", b"web.b:x|ms"]
    assert {(line.time, line.host, line.listener, line.of, line.reason) for line in lines} == {
        (NOW, "10.1.4.7", 3, "all", "")
    }
    assert counts == (3, 3, 0, 0, 0)
    assert hotpath.tapped(number) == ([], counts)


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        (b"web.*", [b"web.a:1|c", b"web.a.b:1|c", b"web.t;env=prod:1|c"]),
        (b"web.?", [b"web.a:1|c", b"web.t;env=prod:1|c"]),
        (b"*.b", [b"web.a.b:1|c"]),
        (b"web.t;env=*", [b"web.t;env=prod:1|c"]),
        (b"no colon", [b"no colon"]),
        (b"*a*a*", [b"[a]a:1|c"]),
        (b"[a]a", [b"[a]a:1|c"]),
        (b"*:*", []),
        (b"WEB.*", []),
    ],
)
def test_a_glob_of_names(pattern, matching):
    every = [b"web.a:1|c", b"web.a.b:1|c", b"web.t;env=prod:1|c", b"db:1|c|#web.a:1", b"no colon", b"[a]a:1|c"]
    lines, counts = watch(b"\n".join(every), pattern=pattern)
    assert texts(lines) == matching
    assert (counts.received, counts.matched) == (6, len(matching))


def test_of_a_long_name_the_beginning_counts():
    long = b"x" * 600
    assert texts(watch(long + b":1|c", pattern=b"x" * 200 + b"*")[0]) == [long + b":1|c"]
    assert watch(long + b"y:1|c", pattern=b"*y")[0] == []
    assert watch(b"a" * 512 + b":1|c", pattern=b"*a" * 100 + b"b")[0] == []


@pytest.mark.parametrize(
    ("line", "has"),
    [
        (b"a:1|c|#env:prod", True),
        (b"a:1|c|#x,env:prod,y:2|@0.5", True),
        (b"a:1|c|@0.5|#env:prod|c:id", True),
        (b"a;env=prod:1|c", True),
        (b"a,env=prod,x=1:1|c", True),
        (b"a[env=prod]:1|c", True),
        (b"a:1|c|#env:prod2", False),
        (b"a:1|c|#xenv:prod", False),
        (b"a:1|c|#env:prod:x", False),
        (b"env:prod|c", False),
        (b"a:1|c|#env=prod", False),
        (b"a;env=prod2:1|c", False),
        (b"a:1|c", False),
    ],
)
def test_a_tag_in_a_section_or_in_the_name(line, has):
    assert texts(watch(line, tag=b"env=prod")[0]) == [line] * has


@pytest.mark.parametrize(
    ("sender", "peers"),
    [
        ("10.1.4.7", [ONE]),
        ("10.1.4.0/24", [ONE, OTHER, ("::ffff:10.1.4.8", 3)]),
        ("2001:db8::/32", [("2001:db8::1", 4)]),
        ("0.0.0.0/0", [ONE, OTHER, ("::ffff:10.1.4.8", 3)]),
    ],
)
def test_the_network_of_a_sender(sender, peers):
    hotpath = make()
    number = hotpath.open_tap(TapFilter(sender=sender))
    every = [ONE, OTHER, ("::ffff:10.1.4.8", 3), ("2001:db8::1", 4), None]
    for index, peer in enumerate(every):
        hotpath.feed(b"a:1|c", NOW, peer, index)
    assert [line.listener for line in hotpath.tapped(number)[0]] == [every.index(peer) for peer in peers]


def test_rejected_lines_with_their_reason():
    lines, counts = watch(b"a:1|c\nbad\nb:x|ms \n+:1|c|@x", b"reserved.a:1|c", b"reserved.a:1|c", of="rejected")
    assert [(line.line, line.of, line.reason) for line in lines] == [
        (b"bad", "rejected", "no_value"),
        (b"b:x|ms", "rejected", "bad_value"),
        (b"+:1|c|@x", "rejected", "bad_rate"),
        (b"reserved.a:1|c", "rejected", "reserved_name"),
    ]
    assert counts == (6, 4, 0, 0, 0)


@pytest.mark.parametrize("of", ["all", "rejected"])
def test_lines_that_are_not_parsed_are_offered_once(of):
    hotpath = make()
    hotpath.allow(["10.1.4.7/32"])
    number = hotpath.open_tap(TapFilter(of=of))
    hotpath.reject(b"x" * 300, "line_too_long", NOW, ONE)
    hotpath.feed(b"a:1|c\n" + b"y" * limits.DATAGRAM_BYTES, NOW, ONE)
    hotpath.feed(b"a:1|c\n\n", NOW, OTHER)
    lines, counts = hotpath.tapped(number)
    found = [(line.line[:5], line.reason) for line in lines if line.line != b"a:1|c" or line.reason]
    assert found == [(b"xxxxx", "line_too_long"), (b"yyyyy", "truncated"), (b"a:1|c", "source_denied")]
    assert counts.received == 4


def test_dropped_samples_with_their_reason_and_new_names_undecided():
    hotpath = make()
    number = hotpath.open_tap(TapFilter(of="dropped"))
    hotpath.feed(b"dropped.a:1|c\nkept:1|c\nbad\ndropped.a:2|c", NOW, ONE)
    name_all(hotpath)
    hotpath.feed(b"dropped.a:3|c\nkept:1|c\nkept:1|c|T1\ndropped.a:1|c:2|ms", NOW, ONE)
    lines, counts = hotpath.tapped(number)
    assert [(line.line, line.of, line.reason) for line in lines] == [
        (b"dropped.a:1|c", "undecided", ""),
        (b"kept:1|c", "undecided", ""),
        (b"dropped.a:2|c", "undecided", ""),
        (b"dropped.a:3|c", "dropped", "rule"),
        (b"kept:1|c|T1", "dropped", "too_old"),
        (b"dropped.a:1|c:2|ms", "dropped", "rule"),
    ]
    assert counts == (8, 3, 0, 0, 0)


def test_a_rate_hides_and_counts():
    hotpath = make()
    number = hotpath.open_tap(TapFilter(rate=5.0))
    for second in range(3):
        hotpath.feed(b"\n".join(b"a:%d|c" % n for n in range(20)), NOW + second, ONE)
    lines, counts = hotpath.tapped(number)
    assert texts(lines) == [b"a:%d|c" % n for n in range(5)] * 3
    assert counts == (60, 60, 45, 0, 0)
    hotpath.feed(b"a:1|c", NOW - 100, ONE)
    assert hotpath.tapped(number)[1].hidden == 46, "a clock that went back gives no lines"


@pytest.mark.parametrize(
    ("line", "kept"), [(b"a:1|c", 1000), (b"a:1|c|#" + b"x" * 5000, 209), (b"a:1|c|#" + b"x" * 65000, 16)]
)
def test_a_slow_reader_loses_the_oldest_copies_and_no_sample(line, kept):
    lines, counts = watch(*[line] * 1500, rate=2000.0)
    assert len(lines) == kept
    assert counts == (1500, 1500, 0, 1500 - kept, 0)


def test_undecided_lines_beyond_the_rate_are_counted_apart():
    every = b"\n".join(b"new%d:1|c" % n for n in range(30))
    lines, counts = watch(every, of="dropped", rate=10.0, named=False)
    assert len(lines) == 10
    assert counts == (30, 0, 0, 0, 20)


def test_four_taps_at_a_time():
    hotpath = make()
    numbers = [hotpath.open_tap(TapFilter(pattern=b"m%d" % n)) for n in range(limits.TAPS_MOST)]
    assert numbers == [0, 1, 2, 3]
    assert hotpath.open_tap(TapFilter()) is None
    hotpath.feed(b"m0:1|c\nm1:1|c\nm2:1|c\nm3:1|c", NOW, ONE)
    assert [texts(hotpath.tapped(number)[0]) for number in numbers] == [[b"m%d:1|c" % n] for n in range(4)]
    hotpath.close_tap(2)
    with pytest.raises(ValueError, match="no tap 2"):
        hotpath.tapped(2)
    assert hotpath.open_tap(TapFilter()) == 2
    for number in range(limits.TAPS_MOST):
        hotpath.close_tap(number)
        hotpath.close_tap(number)
    hotpath.feed(b"m0:1|c", NOW, ONE)


@pytest.mark.parametrize(
    "wrong", [{"pattern": b"x" * 256}, {"tag": b"a=" + b"x" * 254}, {"pattern": b"a\0b"}, {"sender": "x"}]
)
def test_a_filter_that_is_not_valid(wrong):
    hotpath = make()
    with pytest.raises(ValueError, match=r"at most 255 bytes|does not appear to be"):
        hotpath.open_tap(TapFilter(**wrong))
    assert hotpath.open_tap(TapFilter()) == 0


def test_an_identity_in_overflow():
    hotpath = make(series_per_metric=2)
    of_a = [Identity(b"a", Kind.COUNTER, b"n:%d" % number) for number in range(3)]
    hotpath.feed(b"\n".join(b"a:1|c|#" + one.tags for one in of_a), NOW)
    assert [hotpath.overflows(one) for one in of_a] == [False, False, False], "they wait for their names"
    name_all(hotpath)
    assert [hotpath.overflows(one) for one in of_a] == [False, False, True]
    hotpath.feed(b"\n".join(b"a:1|c|#" + one.tags for one in of_a) + b"\ndropped.x:1|c\nnew:1|c", NOW)
    assert [hotpath.overflows(one) for one in of_a] == [False, False, True]
    assert not hotpath.overflows(Identity(b"new", Kind.COUNTER, b""))
    assert hotpath.overflows(Identity(b"unknown", Kind.COUNTER, b"")), "it found no room"
    name_all(hotpath)
    assert not hotpath.overflows(Identity(b"dropped.x", Kind.COUNTER, b""))
    close(hotpath)
    assert not any(hotpath.overflows(one) for one in of_a), "nothing of them is in this window"


# --- native == python -------------------------------------------------------------------------------------------------

filters = st.builds(
    TapFilter,
    of=st.sampled_from(["all", "rejected", "dropped"]),
    pattern=st.sampled_from([b"", b"", b"*", b"a", b"*.x", b"long*?e", b"?", b"_*", b"\xff*d"]),
    tag=st.sampled_from([b"", b"", b"a=b", b"a=", b"x=", b"c=d"]),
    sender=st.sampled_from(["", "10.0.0.0/31", "::1"]),
    rate=st.sampled_from([1.0, 3.0, 20.0, 1000.0]),
)


@given(datagrams, st.lists(filters, min_size=1, max_size=4), st.integers(1, 3))
def test_both_hot_paths_tap_the_same_and_change_nothing(datagrams, filters, named_every):
    native, python, bare = make("native"), make("python"), make("native")
    for hotpath in (native, python):
        assert [hotpath.open_tap(wanted) for wanted in filters] == list(range(len(filters)))
    for index, datagram in enumerate(datagrams):
        for hotpath in (native, python, bare):
            hotpath.feed(datagram, NOW + index / 4, (f"10.0.0.{index % 3}", 5) if index % 4 else None, index % 2)
            if index % named_every == 0:
                name_all(hotpath)
        if index % 3 == 0:
            assert_same_taps(native, python, len(filters))
    assert_same_taps(native, python, len(filters))
    for hotpath in (native, bare):
        name_all(hotpath)
    assert native.tally() == bare.tally()
    assert close(native, START + 60).keys() == close(bare, START + 60).keys()


def assert_same_taps(native, python, count: int) -> None:
    for number in range(count):
        ours, theirs = native.tapped(number), python.tapped(number)
        assert ours == theirs
        assert ours[1].matched >= ours[1].hidden + ours[1].lost
