"""Facts of the judge as tests vary them: any counts, any state of the cloud and of the disk."""

from __future__ import annotations

from hypothesis import strategies as st

from relay.daemon.health.facts import (
    BadLine,
    Caution,
    Counts,
    Death,
    Delivery,
    Explosion,
    Facts,
    Intake,
    Process,
    Refusal,
    SeriesFacts,
    Socket,
    Storage,
    Window,
)
from relay.delivery.sender.last_answer import VerdictKind
from relay.errors import DROPPED_POINTS, DROPPED_SAMPLES, FAILED_REQUESTS, REJECTED_LINES

NOON = 1_764_590_400.0
"""A full minute, wall time."""
_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
_count = st.integers(0, 1_000_000)
_times = st.floats(NOON - 100_000, NOON + 100_000)


def _family(words) -> st.SearchStrategy:
    return st.dictionaries(st.sampled_from(words), st.integers(1, 1_000_000), max_size=3)


COUNTS = st.builds(
    Counts,
    packets=_count,
    lines=_count,
    rejected=_family(REJECTED_LINES),
    kernel_drops=_family(("udp://127.0.0.1:8125", "udp://[::1]:8125")),
    samples_dropped=_family(DROPPED_SAMPLES),
    samples_overflow=_count,
    points_dropped=_family(DROPPED_POINTS),
    points_refused=_count,
    throttled=_count,
    failed=_family(FAILED_REQUESTS),
    connections_closed=_family(("evicted", "idle", "refused")),
    tee_dropped=_family(("127.0.0.1:9125",)),
    letters_dropped=_count,
    names_rewritten=_count,
    tags_dropped=_count,
    values_clamped=_count,
)
_windows = st.lists(
    st.builds(
        Window,
        start=st.integers(0, 90).map(lambda minute: int(NOON) - 60 * minute),
        late=st.floats(0, 100),
        series=_count,
        points=_count,
        requests=_count,
        delivered=_count,
    ),
    max_size=6,
).map(tuple)
_deliveries = st.builds(
    Delivery,
    host=_text,
    key=_text,
    key_place=_text,
    verdict=st.sampled_from(("", *VerdictKind.__args__)),
    since=_times,
    status=st.sampled_from((0, 302, 401, 404, 429, 503)),
    words=_text,
    cause=st.sampled_from(("", *FAILED_REQUESTS)),
    is_down=st.booleans(),
    is_stopped=st.booleans(),
    accepted_at=st.one_of(st.just(0.0), _times),
    paused=st.floats(0, 200),
    clock_skew=st.floats(-1e6, 1e6),
    is_skew_known=st.booleans(),
    refusal=st.builds(Refusal, metric=_text, words=_text, fix=_text),
)
_storages = st.builds(
    Storage,
    points=_count,
    bytes=st.integers(0, 2 * 1024**3),
    oldest=st.one_of(st.none(), st.integers(int(NOON) - 10_000, int(NOON))),
    path=st.sampled_from(("", "/var/lib/statsd-relay")),
    trouble=st.sampled_from(("", "full", "checkpoint", "something new")),
    letters=_count,
    foreign_host=_text,
)
_intakes = st.builds(
    Intake,
    addresses=st.lists(_text, max_size=2).map(tuple),
    sockets=st.just((Socket(name="udp://127.0.0.1:8125", granted=1000, asked=2000),)),
    last_packet_at=st.one_of(st.just(0.0), _times),
    closed_ports=_count,
    bad_lines=st.just((BadLine(reason="bad_value", line="a:b|c", at=2, why='"b" is no number', sender="10.0.0.1:5"),)),
    tees=st.dictionaries(_text, _text, max_size=2),
)
_processes = st.builds(
    Process,
    imbalances=st.tuples(_count, _count),
    opens_in=st.one_of(st.just(0.0), st.floats(60, 1e7)),
    slow_at=st.lists(_times, max_size=4).map(tuple),
    deaths=st.lists(st.builds(Death, at=_times, reason=st.just("killed by SIGKILL")), max_size=3).map(tuple),
    reload_error=_text,
    file=_text,
    stepped_at=st.one_of(st.just(0.0), _times),
    step=st.floats(-1e6, 1e6),
    is_health_down=st.booleans(),
    cautions=st.lists(
        st.builds(
            Caution, code=st.sampled_from(("RLY102", "RLY110", "RLY201")), message=_text.map("key {}".format), fix=_text
        ),
        max_size=3,
    ).map(tuple),
)
FACTS = st.builds(
    Facts,
    now=st.floats(NOON, NOON + 100),
    started=_times,
    seconds=st.sampled_from((1, 10, 60)),
    windows=_windows,
    counts=COUNTS,
    open=COUNTS,
    periods=st.lists(COUNTS, max_size=3).map(tuple),
    waiting=st.lists(_count, max_size=5).map(tuple),
    delivery=_deliveries,
    storage=_storages,
    intake=_intakes,
    series=st.builds(SeriesFacts, explosion=st.builds(Explosion, metric=_text, tag=_text, values=_count)),
    process=_processes,
)
