"""The command `series` against a real relay: the table, one name, senders, wrong use."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from relay.config.schema import RuleConfig
from tests.support.command import call
from tests.support.inprocess import LONG_WINDOWS, open_relay
from tests.support.relay import environment, relay_process, run

RULES = [RuleConfig(match="debug.**", action="drop"), RuleConfig(match="web.**", keep_tags=["path"])]
TRAFFIC = b"\n".join(
    [
        *(b"web.req:1|c|#request_id:%d,path:p%d" % (number, number % 4) for number in range(60)),
        *(b"web.time:%d|ms|#zone:z%d,outcome:o%d" % (number, number % 3, number % 2) for number in range(6)),
        b"jobs:3|g",
        b"web.req:x|c",
    ]
)


async def until(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def series(tmp_path, *arguments, traffic=TRAFFIC, **settings):
    """Run the command beside a relay that has received the traffic: a process, whose log is not among the output."""
    rules = json.dumps([{"match": "debug.**", "action": "drop"}, {"match": "web.**", "keep_tags": ["path"]}])
    settings = {"WINDOW_SECONDS": "3600", "RULE": rules, **settings}
    with relay_process(environment("http://127.0.0.1:1", tmp_path / "state", **settings), tmp_path / "log") as relay:
        relay.send(traffic)
        await relay.wait_for(relay_received_lines_total=traffic.count(b"\n") + 1)
        return await asyncio.to_thread(call, "series", *arguments, "--for", "0s", "--admin", relay.admin)


async def test_the_table_and_the_rule_to_paste(tmp_path):
    done = await series(tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("relay 127.0.0.1:")
    assert done.stdout.splitlines() == [
        "67 of 50 000 series (0 %); no window is closed yet",
        "  METRIC    TYPE     SERIES   SHARE  +/MIN  TAG THAT MAKES THEM MANY  EXAMPLES",
        "  web.req   counter      60  89.6 %      -  request_id 60             0 1 2",
        "  web.time  timer         6   9.0 %      -  zone 3                    z0 z1 z2",
        "  jobs      gauge         1   1.5 %      -  -",
        "web.req without request_id would be 4 series, with the same totals:",
        "    [[rule]]",
        '    match = "web.req"',
        '    keep_tags = ["path"]',
        '    drop_tags = ["request_id"]',
        'put it into the file of the relay before rule 2 ("web.**"); then: statsd-relay reload',
    ]


async def test_order_number_and_glob(tmp_path):
    done = await series(tmp_path, "w*", "--by", "samples", "--top", "1")
    lines = done.stdout.splitlines()
    assert lines[1].split()[:6] == ["METRIC", "TYPE", "SERIES", "SHARE", "+/MIN", "SAMPLES"]
    assert lines[3].split()[:3] == ["1", "others", "6"]


async def test_as_json(tmp_path):
    answer = json.loads((await series(tmp_path, "--json")).stdout)
    assert answer["rows"][0]["metric"] == "web.req"
    assert answer["source"]["relay"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "  there are no series yet"), (("no*",), "  there are no series yet")]
)
async def test_without_series(tmp_path, arguments, said):
    done = await series(tmp_path, *arguments, traffic=b"x")
    assert done.stdout.splitlines()[1:] == [said]


async def test_a_glob_without_a_match(tmp_path):
    assert (await series(tmp_path, "nosuch*")).stdout.splitlines()[1:] == ["  no metric matches"]


async def test_a_limit_that_is_reached(tmp_path):
    done = await series(tmp_path, "web.req", LIMITS_SERIES_PER_METRIC="10")
    assert done.stdout.splitlines()[0] == "! in overflow, RLY310: it has more series than [limits] allow"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("jobs", "statsd/jobs  gauge  host=test  no rule"),
        ("debug.sql", 'debug.sql: rule 1 ("debug.**") drops it; it has dropped 0 samples since it is in force'),
        ("web.rec", "web.rec: never received; near: web.req, web.time; last packet 0 s ago"),
        ("\u202enosuch", r"\u202enosuch: never received; last packet 0 s ago"),
    ],
)
async def test_one_name(tmp_path, name, first):
    done = await series(tmp_path, name)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, first)


async def test_the_points_of_a_name(tmp_path):
    async with open_relay(tmp_path) as running:
        await running.feed(b"web.hits:4120|c|#env:prod")
        await running.delivered("web.hits", 4120)
        await until(lambda: running.relay.context.ledger.points_delivered)
        admin = f"127.0.0.1:{running.relay.admin.bound[1]}"
        done = await asyncio.to_thread(call, "series", "web.hits", "--for", "0s", "--admin", admin)
    # The relay of this process logs to the same output.
    lines = [line for line in done.stdout.splitlines() if line.startswith("statsd/") or "accepted" in line]
    first, last = lines[0], lines[-1]
    assert first.split() == ["statsd/web.hits", *first.split()[1:-4], "env=prod", "host=test", "no", "rule"]
    assert last.split()[1:6] == ["sum", "4", "120", "accepted", "emulator.."]


async def test_who_sends(tmp_path):
    done = await series(tmp_path, "--by", "senders")
    heading, line = done.stdout.splitlines()
    assert heading.split()[:3] == ["SENDER", "LINES", "LINES/S"]
    assert line.split()[:4] == ["127.0.0.1", "68", "-", "1"]
    assert line.endswith("web.req:x|c")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--by", "size"), 64, "'size' is not one of"),
        (("--top", "0"), 64, "must be a whole number from 1 to 1000, not '0'"),
        (("--by", "senders", "web.*"), 64, "senders are not counted by metric"),
        (("--admin", "127.0.0.1:1"), 69, "no relay answers on 127.0.0.1:1"),
        (("a", "b"), 64, "unexpected extra argument"),
    ],
)
def test_wrong_use(arguments, code, said):
    done = call("series", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


async def test_who_sends_a_name(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS, rule=RULES) as running:
        await running.feed(TRAFFIC)
        await until(lambda: not running.relay.hotpath.unresolved(1))
        admin = f"127.0.0.1:{running.relay.admin.bound[1]}"
        asking = asyncio.create_task(asyncio.to_thread(call, "series", "jobs", "--for", "20s", "--admin", admin))
        while not asking.done():
            await running.feed(b"jobs:4|g\nweb.req:1|c")
            await asyncio.sleep(0.05)
        done = await asking
        quiet = await asyncio.to_thread(call, "series", "jobs", "--for", "500ms", "--json", "--admin", admin)
    # The relay of this process logs the taps to the same output.
    assert "statsd/jobs  gauge  host=test  no rule  from 127.0.0.1" in done.stdout.splitlines()
    assert json.loads(quiet.stdout[quiet.stdout.index("\n{") :])["senders"] == []


async def test_the_line_of_a_rule(tmp_path):
    file = tmp_path / "relay.toml"
    file.write_text('# a comment\n[[rule]]\nmatch = "debug.**"\naction = "drop"\n')
    environ = environment("http://127.0.0.1:1", tmp_path / "state", WINDOW_SECONDS="3600")
    with relay_process(environ, tmp_path / "log", command=run("-c", file)) as relay:
        relay.send(b"debug.sql:1:2|ms")
        await relay.wait_for(relay_received_lines_total=1)
        done = await asyncio.to_thread(call, "series", "debug.sql", "--admin", relay.admin)
    said = 'debug.sql: rule 1 (line 2, "debug.**") drops it; it has dropped 2 samples since it is in force'
    assert done.stdout.splitlines() == [said]


async def test_a_relay_that_needs_seconds_for_its_walk_is_waited_for(tmp_path):
    async with open_relay(tmp_path, window=LONG_WINDOWS) as running:
        survey = running.relay.cardinality.surveyor.survey

        async def slow():
            await asyncio.sleep(4)
            return await survey()

        running.relay.cardinality.surveyor.survey = slow
        admin = f"127.0.0.1:{running.relay.admin.bound[1]}"
        done = await asyncio.to_thread(call, "series", "--admin", admin)
    assert done.returncode == 0
    assert "  there are no series yet" in done.stdout.splitlines()
