"""Variables that Kubernetes sets in every container for the Services of its namespace are never settings.

The names are of two forms: `{SERVICE}_SERVICE_HOST`, `_SERVICE_PORT` and `_SERVICE_PORT_{PORT'S NAME}`, and
those of Docker's links, `{SERVICE}_PORT` and `_PORT_{NUMBER}_{PROTOCOL}` with `_PROTO`, `_PORT` and `_ADDR`.
"""

from __future__ import annotations

import pytest

from relay.config.environment import EnvironmentSettings, read_environment, variables
from relay.config.loading import load
from relay.config.schema import Config


def injected(service: str, ports: list[tuple[str, int, str]], host: str = "10.96.0.12") -> dict[str, str]:
    """Return the variables that the kubelet sets for one Service; the short names have its first port."""
    prefix = service.upper().replace("-", "_")
    shown = f"[{host}]" if ":" in host else host
    found = {f"{prefix}_SERVICE_HOST": host}
    for position, (name, number, protocol) in enumerate(ports):
        if position == 0:
            found[f"{prefix}_SERVICE_PORT"] = str(number)
            found[f"{prefix}_PORT"] = f"{protocol.lower()}://{shown}:{number}"
        if name:
            found[f"{prefix}_SERVICE_PORT_{name.upper().replace('-', '_')}"] = str(number)
        link = f"{prefix}_PORT_{number}_{protocol}"
        found |= {link: f"{protocol.lower()}://{shown}:{number}", f"{link}_PROTO": protocol.lower()}
        found |= {f"{link}_PORT": str(number), f"{link}_ADDR": host}
    return found


PORTS = [
    [("", 8125, "UDP")],
    [("statsd", 8125, "UDP"), ("admin", 8126, "TCP")],
    [("udp", 8125, "UDP"), ("tcp", 8125, "TCP"), ("http-metrics", 8126, "TCP"), ("assoc", 36412, "SCTP")],
]
TABLES = [table.replace("_", "-") for table in Config.__struct_fields__]
SERVICES = ["statsd", "statsd-relay", "statsd-relay-admin-listen", *(f"statsd-relay-{table}" for table in TABLES)]


@pytest.mark.parametrize("host", ["10.96.0.12", "fd00:10:96::c"])
@pytest.mark.parametrize("ports", PORTS, ids=["one", "named", "many"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sets_nothing_and_causes_no_warning(service, ports, host):
    environ = injected(service, ports, host)
    assert read_environment(environ) == EnvironmentSettings([], [], [])


def test_no_setting_has_a_name_that_kubernetes_may_take():
    taken = {name for service in SERVICES for ports in PORTS for name in injected(service, ports)}
    assert variables().keys() & taken == set()


def test_all_services_at_once_beside_settings():
    environ = {name: value for service in SERVICES for name, value in injected(service, PORTS[2]).items()}
    environ |= {"STATSD_RELAY_LISTEN_UDP": "0.0.0.0:8125", "STATSD_RELAY_TEE": '[{"to": "10.0.0.9:8125"}]'}
    loaded = load(None, environ)
    assert loaded.config.listen.udp == ["0.0.0.0:8125"]
    assert [tee.to for tee in loaded.config.tee] == ["10.0.0.9:8125"]
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATSD_RELAY_ADMIN_PORT", "metrics"),
        ("STATSD_RELAY_LISTEN_PORT", "udp"),
        ("STATSD_RELAY_PORT_X", "8125"),
        ("STATSD_RELAY_SERVICE_NAME", "10.0.0.1"),
        ("STATSD_RELAY_LISTEN_UDPS", "0.0.0.0:8125"),
    ],
)
def test_what_only_looks_like_one_is_still_unknown(name, value):
    warnings = read_environment({name: value}).unknown
    assert [warning.message for warning in warnings] == [f"unknown variable {name}"]
