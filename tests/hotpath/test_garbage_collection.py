"""A closed window may be collected at any allocation, also where the hot path holds its lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import hotpath
from tests.support.hotpath import NOW, START, close, make, name_all

ROOT = Path(__file__).parents[2]
PROGRAM = """
import gc, sys
from relay.hotpath.tap import TapFilter
from tests.support.hotpath import NOW, START, make, name_all

READS = {
    "list_series": lambda hotpath: hotpath.list_series(0, 50),
    "snapshot": lambda hotpath: list(hotpath.snapshot()),
    "gauges": lambda hotpath: list(hotpath.gauges()),
    "export_gauges": lambda hotpath: list(hotpath.export_gauges()),
    "rejects": lambda hotpath: hotpath.rejects(),
    "tapped": lambda hotpath: hotpath.tapped(0),
    "senders": lambda hotpath: hotpath.senders(),
    "tally": lambda hotpath: hotpath.tally(),
}
read = READS[sys.argv[1]]
gc.disable()
for number in range(1, 60):
    hotpath = make("native")
    hotpath.open_tap(TapFilter(rate=1000.0))
    for window in (1, 2):
        hotpath.feed(b"\\n".join([b"c%d:1|c\\ng%d:1|g\\nbad" % (n, n) for n in range(20)]), NOW)
        name_all(hotpath)
        if window == 1:
            hotpath.close_window(START + 60)
            cycle = [hotpath.closed_window()]
            cycle.append(cycle)
            del cycle
    gc.set_threshold(gc.get_count()[0] + 3 * number)
    gc.enable()
    read(hotpath)
    gc.disable()
    gc.collect()
print("done")
"""


@pytest.mark.parametrize(
    "read", ["list_series", "snapshot", "gauges", "export_gauges", "rejects", "tapped", "tally", "senders"]
)
def test_a_window_that_is_collected_while_the_lock_is_held_does_not_deadlock(read):
    """In a process of its own: a thread that deadlocks on the lock holds the interpreter's lock too."""
    if hotpath.chosen != "native":
        pytest.skip("only the native hot path has a lock")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, read], cwd=ROOT, capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_what_a_collected_window_held_is_given_back():
    hotpath = make(series_limit=100, series_per_metric=1000)
    for window in range(1, 40):
        hotpath.feed(b"\n".join(b"m%d.%d:1|c" % (window, n) for n in range(80)), NOW)
        name_all(hotpath)
        rows = close(hotpath, START + 60 * window)
        assert sum(rollup.sum for rollup in rows.values()) == 80
        assert not [metric for metric, *_ in rows if metric.startswith("overflow")]
