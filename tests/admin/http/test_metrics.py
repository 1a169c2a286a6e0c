"""The metrics are a contract: every name is there, with its labels."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest

from relay.admin.http.metrics import Scrapes, make_registry
from relay.admin.http.server import AdminServer
from relay.errors import ExitCode, RelayError
from relay.listener.addresses import Address
from relay.listener.admin_sockets import AdminSockets
from tests.support.admin_port import make_guard
from tests.support.inprocess import open_relay

NAMES = [
    'relay_build_info{hotpath="native",version="VERSION"}',
    "relay_loop_lag_seconds",
    "relay_console_health_up",
    "relay_ledger_imbalance",
    'relay_datagrams_total{listener="L"}',
    'relay_kernel_drops_total{listener="L"}',
    "relay_truncated_datagrams_total",
    'relay_receive_queue_bytes{listener="L"}',
    'relay_receive_queue_limit_bytes{listener="L"}',
    "relay_received_lines_total",
    "relay_accepted_lines_total",
    "relay_events_total",
    'relay_rejected_lines_total{reason="bad_value"}',
    'relay_samples_total{state="accepted"}',
    'relay_samples_total{state="closed"}',
    'relay_samples{state="open"}',
    "relay_late_samples_total",
    "relay_series",
    "relay_senders",
    "relay_series_limit",
    "relay_aliases",
    "relay_overflow_samples_total",
    "relay_unnamed_samples_total",
    "relay_windows_closed_total",
    "relay_window_close_seconds",
    "relay_window_late_seconds",
    "relay_late_windows_total",
    "relay_windows_closing",
    'relay_points_total{outcome="created"}',
    'relay_points_total{outcome="recovered"}',
    'relay_points_total{outcome="replayed"}',
    'relay_points_total{outcome="delivered"}',
    'relay_points_total{outcome="refused"}',
    'relay_points_total{outcome="dropped"}',
    'relay_dropped_points_total{reason="spool_full"}',
    'relay_points{state="spooled"}',
    'relay_points{state="in_flight"}',
    'relay_requests_total{code="200"}',
    "relay_ambiguous_requests_total",
    "relay_request_duration_seconds_count",
    "relay_request_duration_seconds_sum",
    "relay_requests_in_flight",
    "relay_rate_limit",
    "relay_delivery_lag_seconds",
    "relay_spool_batches",
    "relay_spool_bytes",
    "relay_spool_oldest_age_seconds",
    "relay_spool_limit_bytes",
    "relay_spool_dropped_windows_total",
    "relay_durability_degraded",
    "relay_dead_letters",
    "process_resident_memory_bytes",
    "process_open_fds",
]


async def fetch(address: tuple[str, int], path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def test_every_name_is_there(tmp_path):
    from relay import __version__

    async with open_relay(tmp_path) as running:
        await running.feed(b"a:1|c\na:x|c\n_e{1,1}:a|b")
        await running.delivered("a", 1)
        status, text = await fetch(running.relay.admin.bound, "/metrics")
        label = running.relay.listeners[0].label
    assert status == 200
    keys = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    wanted = {name.replace("VERSION", __version__).replace('"L"', f'"{label}"') for name in NAMES}
    assert wanted - keys == set()
    assert not any('"a"' in key for key in keys), "a user's metric name is never a label"


async def test_health_and_readiness(tmp_path, monkeypatch):
    async with open_relay(tmp_path) as running:
        admin = running.relay.admin.bound
        assert await fetch(admin, "/-/healthy") == (200, "ok\n")
        assert (await fetch(admin, "/-/ready"))[0] == 200
        assert (await fetch(admin, "/nothing"))[0] == 404
        with monkeypatch.context() as patch:
            patch.setattr("relay.daemon.status._STALLED", 0.0)
            assert await fetch(admin, "/-/healthy") == (503, "windows have made no progress for 0 s\n")
        running.relay.stop()
        assert running.relay.status.ready() == (False, "stopping")
    assert running.relay.status.books().imbalance() == 0


async def test_a_port_in_use(tmp_path):
    async with open_relay(tmp_path) as running:
        host, port = running.relay.admin.bound
        sockets = AdminSockets([Address(host, port)])
        admin = AdminServer(sockets=sockets, relay=running.relay, guard=make_guard())
        with pytest.raises(RelayError, match=r"RLY101 .*admin port") as caught:
            await admin.start()
        assert caught.value.exit_code == ExitCode.BIND_OR_STATE


async def test_requests_that_are_answered_in_one_turn_of_the_loop_share_a_scrape(tmp_path):
    async with open_relay(tmp_path) as running:
        scrapes = Scrapes(make_registry(running.relay))
        first = scrapes.text()
        assert scrapes.text() is first
        await asyncio.sleep(0.01)
        assert scrapes.text() is not first


async def test_malformed_requests_are_answered_and_not_logged(tmp_path, caplog):
    """Otherwise any client of the port could fill the log."""
    async with open_relay(tmp_path) as running:
        for head in (b"Host: a\r\nHost: b", b"X: " + b"x" * 10_000, b"Content-Length: 5\r\nTransfer-Encoding: chunked"):
            reader, writer = await asyncio.open_connection(*running.relay.admin.bound)
            writer.write(b"GET / HTTP/1.1\r\n" + head + b"\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.0 400")
            writer.close()
    assert caplog.records == []
