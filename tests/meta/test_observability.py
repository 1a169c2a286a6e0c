"""Alerts and dashboard: every name exists, every loss has an alert and a panel, each alert fires and is quiet."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from relay.admin.http.metrics import RelayCollector, make_registry
from relay.errors import CODES
from tests.support.inprocess import open_relay
from tests.support.promtool import promtool

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/observability/alerts.yaml"
DASHBOARD = json.loads((ROOT / "deploy/observability/dashboard.json").read_text())
REFERENCE = (ROOT / "deploy/REFERENCE.md").read_text()
RULES = {rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\b(?:relay|process)_[a-z_]+")
TARGET = 'job="statsd-relay",instance="web-1:8126"'
MINUTES = 40
CLOCK = f"0+60x{MINUTES}"
"""A timestamp that is always now: promtool begins at 0."""

HEALTHY = {
    "up": 1,
    "relay_build_info": 1,
    "process_start_time_seconds": 0,
    'relay_problem{code="RLY402",level="problem"}': 0,
    'relay_problem{code="RLY402",level="warning"}': 0,
    "relay_last_delivery_timestamp_seconds": CLOCK,
    "relay_last_packet_timestamp_seconds": CLOCK,
    "relay_spool_oldest_age_seconds": 0,
    "relay_spool_bytes": 5_000,
    "relay_spool_limit_bytes": 1_000_000,
    "relay_spool_dropped_windows_total": 1,
    'relay_kernel_drops_total{listener="udp"}': 5,
    "relay_truncated_datagrams_total": 5,
    "relay_received_lines_total": f"0+6000x{MINUTES}",
    'relay_rejected_lines_total{reason="bad_value"}': f"0+6x{MINUTES}",
    'relay_dropped_samples_total{reason="too_old"}': 7,
    'relay_dropped_samples_total{reason="rule"}': f"0+100x{MINUTES}",
    'relay_dropped_points_total{reason="spool_full"}': 7,
    'relay_dropped_points_total{reason="percentile_quota"}': 7,
    'relay_refused_points_total{reason="refused_point"}': 7,
    "relay_dead_letters_dropped_total": 7,
    "relay_durability_degraded": 0,
    "relay_window_series": 4_000,
    "relay_series_limit": 50_000,
    "relay_overflow_samples_total": 7,
    "relay_window_requests": 80,
    "relay_requests_per_minute_limit": 900,
    "relay_ledger_imbalance": 0,
    "relay_config_last_reload_successful": 1,
    "relay_clock_skew_seconds": -2,
    "relay_window_opens_in_seconds": 0,
    'relay_stream_refused_total{listener="tcp"}': 7,
    'relay_stream_evicted_total{listener="tcp"}': 7,
    'relay_stream_idle_closed_total{listener="tcp"}': 7,
    'relay_tee_dropped_total{tee="1"}': 7,
    "relay_clamped_values_total": 7,
}
"""A relay with losses long ago; a number is constant."""
GROWS = f"0x{MINUTES - 3} 50 60 70"
STOPPED = f"0+60x20 1200x{MINUTES - 21}"

FIRES = [
    ("Down", {"up": 0}),
    ("Down", {"up": None}),
    ("Problem", {'relay_problem{code="RLY402",level="problem"}': 1}),
    ("Warning", {'relay_problem{code="RLY402",level="warning"}': 1}),
    ("NothingDelivered", {"relay_last_delivery_timestamp_seconds": STOPPED, "relay_spool_oldest_age_seconds": 900}),
    ("KernelDrops", {'relay_kernel_drops_total{listener="udp"}': GROWS}),
    ("KernelDrops", {"relay_truncated_datagrams_total": GROWS}),
    ("RejectedLines", {'relay_rejected_lines_total{reason="bad_value"}': f"0+61x{MINUTES}"}),
    ("LostSamples", {'relay_dropped_samples_total{reason="too_old"}': GROWS}),
    ("LostPoints", {'relay_dropped_points_total{reason="spool_full"}': GROWS}),
    ("LostPoints", {"relay_spool_dropped_windows_total": GROWS}),
    ("DeadLetters", {'relay_refused_points_total{reason="refused_point"}': GROWS}),
    ("DeadLetters", {"relay_dead_letters_dropped_total": GROWS}),
    ("SpoolFilling", {"relay_spool_bytes": f"5000+6000x{MINUTES}"}),
    ("NotDurable", {"relay_durability_degraded": 1}),
    ("SeriesNearLimit", {"relay_window_series": 40_001}),
    ("SeriesNearLimit", {"relay_overflow_samples_total": GROWS}),
    ("QuotaNearlyUsed", {"relay_window_requests": 811}),
    ("QuotaNearlyUsed", {'relay_dropped_points_total{reason="percentile_quota"}': GROWS}),
    ("BooksDoNotBalance", {"relay_ledger_imbalance": 2}),
    ("ReloadRefused", {"relay_config_last_reload_successful": 0}),
    ("ClockWrong", {"relay_clock_skew_seconds": -61}),
    ("ClockWrong", {"relay_window_opens_in_seconds": 90}),
    ("NoPackets", {"relay_last_packet_timestamp_seconds": STOPPED}),
    ("NoPackets", {"relay_last_packet_timestamp_seconds": 0}),
    ("WorkerRestarts", {"process_start_time_seconds": f"0x{MINUTES - 5} 2160 2220 2220 2220 2220"}),
    ("ConnectionsRefused", {'relay_stream_refused_total{listener="tcp"}': GROWS}),
    ("ConnectionsRefused", {'relay_stream_evicted_total{listener="tcp"}': GROWS}),
    ("ConnectionsRefused", {'relay_stream_idle_closed_total{listener="tcp"}': GROWS}),
    ("TeeDrops", {'relay_tee_dropped_total{tee="1"}': GROWS}),
    ("ValuesClamped", {"relay_clamped_values_total": GROWS}),
]
"""An alert, and what makes it the only one that fires."""
QUIET = [
    ("a warning for 10 minutes", {'relay_problem{code="RLY402",level="warning"}': f"0x{MINUTES - 10} 1x9"}),
    ("nothing to deliver", {"relay_last_delivery_timestamp_seconds": STOPPED}),
    ("a backlog that is being sent", {"relay_spool_oldest_age_seconds": 90_000}),
    ("the first minutes", {"process_start_time_seconds": 2_280, "relay_last_packet_timestamp_seconds": 0}),
    ("under 1 % rejected", {'relay_rejected_lines_total{reason="bad_value"}': f"0+59x{MINUTES}"}),
    ("one new worker", {"process_start_time_seconds": f"0x{MINUTES - 5} 2160 2160 2160 2160 2160"}),
    ("below the limits", {"relay_window_series": 40_000, "relay_window_requests": 810}),
    ("a spool that is full in a day", {"relay_spool_bytes": f"5000+600x{MINUTES}"}),
    ("a spool that shrinks", {"relay_spool_bytes": f"900000-600x{MINUTES}"}),
    ("a clock within a minute", {"relay_clock_skew_seconds": 60}),
    ("a counter that starts anew", {"relay_clamped_values_total": f"7x{MINUTES - 3} 0 0 0"}),
]


def series(changes) -> list[dict]:
    """The input of promtool: a healthy relay with changes; None removes a series."""
    values = {**HEALTHY, **changes}
    found = []
    for name, value in values.items():
        bare, _, labels = name.rstrip("}").partition("{")
        text = value if isinstance(value, str) else f"{value}x{MINUTES}"
        if value is not None:
            found.append({"series": f"{bare}{{{', '.join(filter(None, [TARGET, labels]))}}}", "values": text})
    return found


def run_rules(tmp_path, cases) -> None:
    """Run each case, (name, alerts that fire, changes), in one promtool."""
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": series(changes),
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": f'{{alertname="StatsdRelay{alert}"}}', "value": 1} for alert in firing],
                }
            ],
        }
        for name, firing, changes in cases
    ]
    document = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests.yaml")


def test_each_alert_fires_alone(tmp_path):
    run_rules(tmp_path, [(f"{alert} {changes}", [alert], changes) for alert, changes in FIRES])
    assert {f"StatsdRelay{alert}" for alert, _ in FIRES} == RULES.keys()


def test_no_alert_fires_for_a_healthy_relay_or_just_below_a_limit(tmp_path):
    run_rules(tmp_path, [("healthy", [], {}), *((name, [], changes) for name, changes in QUIET)])


def test_an_alert_says_what_to_do():
    for rule in RULES.values():
        code = re.fullmatch(r"statsd-relay explain (.*)", rule["annotations"]["action"])[1]
        assert code in (["{{ $labels.code }}"] if "relay_problem" in rule["expr"] else CODES)
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert "$labels." in rule["annotations"]["summary"]


def test_the_alerts_and_the_expressions_of_the_panels_are_valid(tmp_path):
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "--lint", "all", "--lint-fatal", ALERTS)
    plain = [expression.replace("$__rate_interval", "5m") for expression in EXPRESSIONS]
    rules = [{"record": f"panel:expression_{number}", "expr": each} for number, each in enumerate(plain)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", tmp_path / "panels.yaml")
    assert not [each for each in plain if "[$" in each or ("]" not in each and "rate(" in each)]


def test_every_panel_says_what_it_shows():
    for panel in PANELS:
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            selectors = re.findall(r"\b(?:relay|process)_\w+(.)", target["expr"])
            assert set(selectors) == {"{"}, "every metric is of the chosen relays"
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_overlap():
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert all(x < 24 for x, _ in places)


@pytest.fixture
async def families(tmp_path):
    async with open_relay(tmp_path) as running:
        text = generate_latest(make_registry(running.relay)).decode()
        return text, list(RelayCollector(running.relay).collect())


def names_of(*expressions: str) -> set[str]:
    return {name for expression in expressions for name in NAME.findall(expression)}


async def test_every_name_is_in_the_reference_and_in_a_scrape(families):
    text, _ = families
    scraped = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | set(re.findall(r"^(\w+)[ {]", text, re.MULTILINE))
    alerted, shown = names_of(*(rule["expr"] for rule in RULES.values())), names_of(*EXPRESSIONS)
    assert alerted | shown | names_of(*HEALTHY) <= scraped
    described = set(re.findall(r"^\| `(\w+)", REFERENCE, re.MULTILINE))
    relays = {name for name in alerted | shown if name.startswith("relay_")}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in relays} <= described
    assert alerted <= names_of(*HEALTHY), "the tests of the alerts have every metric"


async def test_every_loss_has_an_alert_and_a_panel(families):
    _, found = families
    losses = {f"{each.name}_total" for each in found if "DATALOSS" in each.documentation}
    assert len(losses) > 10
    assert losses <= names_of(*(rule["expr"] for rule in RULES.values()))
    assert losses <= names_of(*(name for _, changes in FIRES for name in changes)), "and makes it fire"
    assert losses <= names_of(*EXPRESSIONS)


async def test_the_metrics_are_as_prometheus_wants_them(families):
    assert promtool("check", "metrics", text=families[0]) == ""
