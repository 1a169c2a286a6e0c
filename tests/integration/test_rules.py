"""Rules in a real relay: points in the cloud, counters, and a reload at the window's edge."""

from __future__ import annotations

import asyncio
import signal

from tests.support.relay import environment, relay_process, run

RULES = """
[[rule]]
match = "debug.**"
action = "drop"

[[rule]]
match = "web.*.request.*"
type = "timer"
metric = "web.request"
tags = { service = "$1", method = "${2}" }

[[rule]]
regex = '^mem-(used|free)$'
metric = "memory"
tags = { state = "$1" }
drop_tags = ["pod"]
rename_tags = { az = "zone" }
namespace = "machines"

[[rule]]
match = "many"
keep_tags = ["z"]

[[rule]]
match = "never"
"""
LINES = (
    b"web.shop.request.get:3|ms\nweb.shop.request.get:5|ms|#env:x\nweb.pay.request.put:7|ms",
    b"web.shop.request.get:1|c",
    b"mem-used:5|g|#pod:p1,az:a\nmem-free:9|g|#pod:p2,az:b",
    b"many:1|c|#a:1,b:2,c:3,d:4,e:5,z:9",
)
FLOOD = 3200


async def test_rules_map_and_drop_and_a_reload_changes_them_at_the_edge(emulator, tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text(RULES)
    # The flood of dropped identities is six times what the table holds.
    env = environment(emulator.url, tmp_path / "state", WINDOW_SECONDS="1", LIMITS_SERIES="500", CONFIG_WATCH="false")
    with relay_process(env, tmp_path / "log", command=run("-c", file)) as relay:
        relay.send(*LINES)
        for sent in range(0, FLOOD, 400):  # what waits for a name is bounded by the table as well
            numbers = range(sent, sent + 400)
            relay.send(
                *[b"\n".join(b"debug.%d.x:1|c|#id:%d" % (n, n) for n in numbers[i : i + 40]) for i in range(0, 400, 40)]
            )
            metrics = await relay.wait_for(**{'relay_dropped_samples_total{reason="rule"}': sent + 400})
        assert metrics['relay_dropped_samples_total{reason="rule"}'] == FLOOD
        assert (metrics["relay_series"] <= 20, metrics["relay_overflow_samples_total"]) == (True, 0)
        hits = {number: metrics[f'relay_rule_hits_total{{rule="{number}"}}'] for number in range(1, 6)}
        assert hits == {1: FLOOD, 2: 3, 3: 2, 4: 1, 5: 0}
        while not emulator.points("many"):
            await asyncio.sleep(0.02)
        file.write_text('[[rule]]\nmatch = "debug.*.x"\nmetric = "seen"\ntags = { id = "$1" }\n')
        relay.process.send_signal(signal.SIGHUP)
        while not relay.events("reloaded"):
            await asyncio.sleep(0.02)
        assert relay.events("reloaded")[-1]["at_the_next_window"] == ["rule"]
        closed = (await asyncio.to_thread(relay.metrics))["relay_windows_closed_total"]
        await relay.wait_for(relay_windows_closed_total=closed + 1)
        relay.send(b"debug.7.x:4|c|#id:no")
        await relay.wait_for(**{'relay_rule_hits_total{rule="1"}': 1, "relay_accepted_lines_total": FLOOD + 8})
        assert await relay.stop() == 0
        assert relay.stopped()["imbalance"] == 0
    assert_arrived(emulator)


def assert_arrived(emulator) -> None:
    get = {"service": "shop", "method": "get"}
    assert emulator.total("web.request", **get) == 8
    assert {tuple(sorted(point["dimensions"].items())) for point in emulator.points("web.request", **get)} == {
        (("host", "test"), ("method", "get"), ("service", "shop")),
        (("env", "x"), ("host", "test"), ("method", "get"), ("service", "shop")),
    }
    assert emulator.total("web.request", service="pay", method="put") == 7
    assert emulator.total("web.shop.request.get") == 1, "a counter: the rule is for timers"
    [used, *_] = emulator.points("memory", state="used")
    assert used["dimensions"] == {"host": "test", "state": "used", "zone": "a"}
    assert used["namespace"] == "machines"
    [many] = emulator.points("many")
    assert many["dimensions"] == {"host": "test", "z": "9", "a": "1", "b": "2", "c": "3"}
    assert emulator.total("seen", id="7") == 4
    assert (emulator.points("debug.7.x"), emulator.duplicates()) == ([], [])
