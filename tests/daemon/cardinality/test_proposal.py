"""The rule to paste: with it, naming gives what the proposal says."""

from __future__ import annotations

import msgspec
import pytest

from relay.config.loading import load
from relay.config.schema import Config, NamesConfig, RuleConfig
from relay.daemon.build import make_namer, make_rules
from relay.daemon.cardinality.proposal import Removal, propose, rule_as_toml
from relay.model import Identity, Kind, Metric

KIND = Kind.COUNTER


def config(*rules: RuleConfig, **changes) -> Config:
    return msgspec.structs.replace(Config(tags={"host": "h"}, rule=list(rules)), **changes)


def lines(*tags: str, count: int = 100):
    """Yield sections with an id of its own each, and 20 paths."""
    for number in range(count):
        yield ",".join([f"id:{number}", f"path:p{number % 20}", *tags]).encode()


async def stream(series):
    for one in series:
        yield one


def name_all(configured: Config, name: str, sections) -> list:
    namer = make_namer(configured, make_rules(configured))
    return [namer.resolve(Identity(name.encode(), KIND, section)).series for section in sections]


async def proposed(configured, *, name="web.req", tag="id", sections=None):
    sections = list(sections or lines())
    series = name_all(configured, name, sections)
    namer = make_namer(configured, make_rules(configured))
    metric = Metric(series[0].metric, KIND, series[0].namespace)
    wanted = Removal(metric, name, tag)
    found = await propose(configured, namer, wanted, series=stream(sorted(set(series))))
    return found, series, sections


RULES = [
    [],
    [RuleConfig(match="other.**", drop_tags=["path"])],
    [RuleConfig(match="**", rename_tags={"path": "route"})],
    [RuleConfig(match="other"), RuleConfig(match="web.**", tags={"service": "$1"}, namespace="shop")],
    [RuleConfig(match="web.*", keep_tags=["id", "path"], drop_tags=["*"])],
    [RuleConfig(match="web.*", metric="all.$1", tags={"app": "$1"})],
    [RuleConfig(match="web.*", type="counter", keep_tags=["path"])],
]


@pytest.mark.parametrize("rules", RULES)
async def test_the_rule_at_its_place_leaves_what_the_proposal_says_and_nothing_else_changes(rules, tmp_path):
    before = config(*rules)
    found, series, sections = await proposed(before)
    assert found.before == len(set(series)) == 100
    index = found.number - 1 if found.number else 0
    pasted = read(rule_as_toml(found.rule), tmp_path)
    after = config(*rules[:index], pasted, *rules[index + found.replaces :])
    named = name_all(after, "web.req", sections)
    assert found.after == len(set(named)) == 20
    assert found.is_exact
    assert [_without_id(one) for one in named] == [_without_id(one) for one in series]
    untouched = [b"", b"path:p1", b"zone:1"]
    assert name_all(after, "other.x", untouched) == name_all(before, "other.x", untouched)


def read(text: str, directory) -> RuleConfig:
    """Return the rule of a file, as a relay reads it."""
    path = directory / "relay.toml"
    path.write_text(text)
    [rule] = load(path, {}).config.rule
    return rule


def _without_id(series):
    return series._replace(dimensions=tuple(pair for pair in series.dimensions if pair[0] != "id"))


async def test_a_tag_that_the_rule_sets_itself_is_removed_there():
    rules = [RuleConfig(match="user.*.logins", metric="logins", tags={"id": "$1", "kind": "login"})]
    configured = config(*rules)
    namer = make_namer(configured, make_rules(configured))
    series = [namer.resolve(Identity(f"user.{n}.logins".encode(), KIND, b"")).series for n in range(50)]
    wanted = Removal(Metric("logins", KIND), "user.49.logins", "id")
    found = await propose(configured, namer, wanted, series=stream(series))
    assert (found.number, found.replaces, found.before, found.after) == (1, True, 50, 1)
    assert (found.rule.match, found.rule.metric, found.rule.tags) == ("user.*.logins", "logins", {"kind": "login"})


async def test_a_renamed_tag_is_removed_by_its_name_as_received():
    found, _, _ = await proposed(config(RuleConfig(match="**", rename_tags={"id": "request"})), tag="request")
    assert found.rule.drop_tags == ["id"]
    assert found.after == 20


async def test_where_five_tags_are_sent_a_sixth_could_take_the_place():
    found, _, _ = await proposed(config(), sections=lines("a:1", "b:2"))
    assert not found.is_exact


async def test_a_prefix_is_not_part_of_the_match():
    found, _, _ = await proposed(config(names=NamesConfig(prefix="shop")))
    assert (found.metric.name, found.rule.match, found.after) == ("shop.web.req", "web.req", 20)


async def test_a_name_with_a_star_has_no_rule():
    configured = config()
    namer = make_namer(configured, make_rules(configured))
    assert await propose(configured, namer, Removal(Metric("a.b", KIND), "a.*b", "id"), series=stream([])) is None
