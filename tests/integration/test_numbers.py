"""Numbers as statsd users know them, through a real relay process."""

from __future__ import annotations

import random
import signal
import socket

from tests.support.relay import environment, free_port, relay_process
from tests.support.state import LONG_WINDOW, checkpointed, recorded

STATSD = {
    "WINDOW_PERCENTILE_STYLE": "statsd",
    "WINDOW_PERCENTILES": "90,-10",
    "WINDOW_HISTOGRAM": '[{"metric": "lat", "bins": [100, "inf"]}]',
    "WINDOW_SECONDS": str(LONG_WINDOW),
    "WINDOW_CHECKPOINT": "100ms",
}
"""Windows of an hour: all samples are in one, which closes when the process stops."""


def latest(emulator, metric: str) -> float:
    return emulator.points(metric)[-1]["values"]["last"]


async def test_figures_of_timers_are_exact_and_survive_a_worker(emulator, tmp_path):
    """A thousand values before and after a new worker, at two rates: each counts once, as in statsd."""
    values = list(range(1, 1001))
    random.Random(1).shuffle(values)
    lines = [b"lat:%d|ms%b" % (value, b"|@0.5" if value % 2 else b"") for value in values]
    port = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    with relay_process(
        environment(emulator.url, recorded(tmp_path), ADMIN_LISTEN=port, **STATSD), tmp_path / "log"
    ) as relay:
        relay.send(b"\n".join(lines[:70]), b"\n".join(lines[70:140]), b"one:7|ms\nhits:2|c")
        await relay.wait_for(**{'relay_samples{state="open"}': 142})
        await checkpointed(tmp_path, 142)
        await relay.gone(relay.signal_worker(signal.SIGKILL))
        for start in range(140, 1000, 86):
            relay.send(b"\n".join(lines[start : start + 86]))
        metrics = await relay.wait_for(**{'relay_samples{state="open"}': 1002})
        assert metrics["relay_ledger_imbalance"] == 0
        assert await relay.stop() == 0
        assert (relay.stopped()["imbalance"], relay.stopped()["losses"]) == (0, "nothing lost")
    expected = {
        "lat.count_90": 900, "lat.mean_90": 450.5, "lat.upper_90": 900, "lat.sum_90": 405_450,
        "lat.count_top10": 100, "lat.mean_top10": 950.5, "lat.lower_top10": 901, "lat.sum_top10": 95_050,
        "lat.std": 288.6749902572095, "lat.median": 500.5, "lat.histogram.bin_100": 99, "lat.histogram.bin_inf": 901,
        "one.upper_90": 7, "one.count_90": 1, "one.std": 0, "hits": 2,
    }  # fmt: skip
    assert {name: latest(emulator, name) for name in expected} == expected
    assert (emulator.total("lat", "count"), emulator.total("lat")) == (1500, 500_500 + 250_000)
    assert emulator.points("lat.p90") == emulator.points("one.histogram.bin_inf") == []
    assert emulator.duplicates() == []
