"""The newest lines of the log are kept within a bound, and answered to this machine."""

from __future__ import annotations

from relay.admin.log_ring import LogRing
from relay.supervisor.log import LogStream


def test_the_newest_lines_are_kept_and_the_older_ones_counted():
    ring = LogRing()
    for number in range(3000):
        ring.add(f"{number:0100}")
    kept = ring.answer(10_000)
    assert (len(kept.lines), kept.left_out) == (2621, 379)
    assert sum(map(len, kept.lines)) <= 262_144
    assert ring.answer(2).lines == [f"{2998:0100}", f"{2999:0100}"]
    ring.add("x" * 1_000_000)
    assert [len(line) for line in ring.answer(5).lines] == [262_144]


def test_a_line_is_kept_also_if_nothing_reads_the_log():
    ring = LogRing()
    with open("/dev/full", "w") as full:  # noqa: PTH123
        stream = LogStream(full, is_text=False, copy=ring.add)
        stream.write("one\ntwo")
        stream.write(" three\n")
    assert ring.answer(5).lines == ["one", "two three"]
