"""gostatsd's configuration: filters against a model of how gostatsd applies them, and the options around them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from relay.config.types import to_toml
from tests.support.imports import Rules, by_hand, imported, of_text, said, settings, verdicts


def test_gostatsd_toml():
    builder = imported("gostatsd.toml")
    found = settings(builder)
    assert found["rule"] == [
        {"match": "noisy.butok.**", "drop_tags": ["request_path"]},
        {"match": "noisy.**", "action": "drop"},
        {"match": "debug", "action": "drop"},
        {"match": "**", "drop_tags": ["request_path"]},
    ]
    tags = {key.removeprefix("tags."): value for key, value in found.items() if key.startswith("tags.")}
    assert tags == {"env": "production", "cluster": "blue", "canary": "true"}
    assert (found["names.prefix"], found["window.idle_gauges"], found["window.idle"]) == (
        "shop",
        "keep:15m",
        "zero:counters",
    )
    assert "sum_squares" not in found["window.timer_metrics"]
    assert found["tee"] == ["old-statsd:8125"]
    assert by_hand(builder) == {24, 29, 32}
    assert said(builder, "filter.drop-noise.match-metrics") == (
        'by hand: no rule for its regex, which matches names behind "shop."'
    )
    assert said(builder, "filter.no-request-path.drop-tags live").startswith("by hand: ")
    assert "0123456789abcdef" not in builder.toml() + "".join(map(str, builder.lines))


def test_gostatsd_in_yaml_and_by_default():
    found = settings(of_text("metrics-addr: /run/statsd.sock\nexpiry-interval: '-1'\nbackends: [stdout]\n", "gostatsd"))
    assert (found["listen.unix"], found["listen.udp"]) == (["dgram:/run/statsd.sock"], [])
    assert found["window.idle_gauges"] == "drop"
    found = settings(of_text("backends = 'stdout'\n", "gostatsd"))
    assert (found["listen.udp"], found["window.percentiles"]) == (["0.0.0.0:8125", "[::]:8125"], [90])
    assert found["window.idle_gauges"] == "keep:5m"


def filters(text: str, namespace: str = "") -> Rules:
    return Rules(
        of_text(f"{namespace and f'namespace = {to_toml(namespace)}'}\nfilters = 'f'\n[filter.f]\n{text}\n", "gostatsd")
    )


def test_filters_look_at_names_behind_the_namespace():
    rules = filters("match-metrics = 'app.noisy.*'\ndrop-metric = true", "app")
    assert rules.follow("noisy.x") is None
    assert rules.follow("app.noisy.x") == ("app.noisy.x", {})
    builder = of_text("namespace = 'app'\nfilters = 'f'\n[filter.f]\nmatch-metrics = 'noisy.*'\ndrop-metric = true\n")
    assert Rules(builder).follow("noisy.x") == ("noisy.x", {})
    assert said(builder, "filter.f") == "dropped: no name can match it"


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        ("true", True), ("'true'", True), ("'T'", True), ("'1'", True), ("1", True), ("2", True),
        ("false", False), ("'false'", False), ("'yes'", False), ("'on'", False), ("0", False), ("''", False),
    ],
)  # fmt: skip
def test_texts_of_truths_are_read_as_gostatsd_reads_them(text, drops):
    assert (filters(f"match-metrics = 'a'\ndrop-metric = {text}").follow("a") is None) == drops


def test_options_that_are_truths_may_be_texts_as_well():
    found = settings(
        of_text("verbose = 'true'\njson = 'false'\n[disabled-sub-metrics]\nsum = 'true'\nmean = 'no'\n", "gostatsd")
    )
    assert found["log.level"] == "debug"
    assert "log.format" not in found
    assert "sum" not in found["window.timer_metrics"]
    assert "mean" in found["window.timer_metrics"]


def test_a_bare_tag_is_not_a_key():
    builder = of_text("filters = 'f'\n[filter.f]\ndrop-tags = 'region'\n", "gostatsd")
    assert said(builder, "filter.f.drop-tags region").startswith("by hand: ")
    assert Rules(builder).follow("a", {"region": "eu"}) == ("a", {"region": "eu"})


def test_a_regex_that_drops_spares_what_is_excluded():
    rules = filters("match-metrics = 'regex:y[.]'\nexclude-metrics = 'noisy.butok.*'\ndrop-metric = true")
    assert rules.follow("any.x") is None
    assert rules.follow("noisy.butok.x") == ("noisy.butok.x", {})


def test_a_filter_within_another_has_its_rule():
    builder = of_text(
        "filters = 'a b'\n[filter.a]\nmatch-metrics = 'a.*'\ndrop-metric = true\n"
        "[filter.b]\nmatch-metrics = 'a.b.*'\ndrop-metric = true\n",
        "gostatsd",
    )
    assert settings(builder)["rule"] == [{"match": "a.**", "action": "drop"}]
    assert [said(builder, f"filter.{name}") for name in "ab"] == ["ok: rule 1", "ok: rule 1"]


class Model:
    """gostatsd: the namespace comes before a name, then each filter in turn looks at that name and at the tags."""

    def __init__(self, namespace: str, filters: list[dict]) -> None:
        self._prefix = f"{namespace}." if namespace else ""
        self._filters = filters

    def follow(self, name: str, tags: dict[str, str]) -> dict[str, str] | None:
        full, gone = f"{self._prefix}{name}", set()
        for one in self._filters:
            if one["match"] and not any(fits(entry, full) for entry in one["match"]):
                continue
            if any(fits(entry, full) for entry in one["exclude"]):
                continue
            if one["drop"]:
                return None
            gone |= {key for key, value in tags.items() if any(fits(entry, f"{key}:{value}") for entry in one["tags"])}
        return {key: value for key, value in tags.items() if key not in gone}


def fits(entry: str, text: str) -> bool:
    is_inverted, entry = entry.startswith("!"), entry.removeprefix("!")
    if entry.startswith("regex:"):
        return bool(re.search(entry.removeprefix("regex:"), text)) != is_inverted
    found = text.startswith(entry[:-1]) if entry.endswith("*") else text == entry
    return found != is_inverted


PARTS = st.sampled_from(["a", "b", "ab", "app"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
ENTRIES = st.one_of(
    st.builds("{}{}{}".format, st.sampled_from(["", "", "", "!"]), NAMES, st.sampled_from(["", "*", ".*", ".a", "."])),
    st.sampled_from(["*", "a*", "app.*", "!*", "regex:b", "regex:^app[.]a", "!regex:b", "regex:a$"]),
)
FILTERS = st.fixed_dictionaries({
    "match": st.lists(ENTRIES, max_size=3),
    "exclude": st.lists(ENTRIES, max_size=2),
    "drop": st.booleans(),
    "tags": st.lists(st.sampled_from(["k:*", "l:*", "k", "*", "k:1"]), max_size=2),
})  # fmt: skip


def written(namespace: str, found: list[dict]) -> str:
    lines = [f"namespace = {to_toml(namespace)}", f"filters = {to_toml([f'f{n}' for n in range(len(found))])}"]
    for number, one in enumerate(found):
        lines += [f"[filter.f{number}]", f"match-metrics = {to_toml(one['match'])}"]
        lines += [f"exclude-metrics = {to_toml(one['exclude'])}", f"drop-tags = {to_toml(one['tags'])}"]
        lines.append(f"drop-metric = {to_toml(one['drop'])}")
    return "\n".join(lines)


@settings_of(max_examples=150)
@given(
    st.sampled_from(["", "app", "a", "a.b"]),
    st.lists(FILTERS, min_size=1, max_size=3),
    st.lists(NAMES, min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("klm"), st.sampled_from("12")),
)
def test_rules_do_what_filters_did_or_the_report_says_by_hand(namespace, found, names, tags):
    builder = of_text(written(namespace, found), "gostatsd")
    if builder.needs_person:
        return
    rules, model = Rules(builder), Model(namespace, found)
    for name in names:
        after = rules.follow(name, tags)
        assert (after and after[1]) == model.follow(name, tags), (name, builder.toml())
    told = verdicts(builder)
    for number, one in enumerate(found):
        verdict = told[f"filter.f{number}"]
        assert verdict in ("ok", "dropped")
        if verdict == "dropped":
            others = Model(namespace, [*found[:number], *found[number + 1 :]])
            assert all(others.follow(name, tags) == model.follow(name, tags) for name in names), one


@settings_of(max_examples=80)
@given(st.sampled_from(["", "app"]), FILTERS, st.lists(NAMES, min_size=1, max_size=8))
def test_what_is_by_hand_of_a_filter_is_all_that_differs(namespace, found, names):
    """A written rule has no effect that gostatsd did not have; missing effects are reported."""
    rules, model = Rules(of_text(written(namespace, [found]), "gostatsd")), Model(namespace, [found])
    for name in names:
        if rules.follow(name, {"k": "1"}) is None:
            assert model.follow(name, {"k": "1"}) is None


def test_a_host_of_the_default_tags_is_that_of_the_series():
    builder = of_text('hostname = "h"\ndefault-tags = "host:x"\n', "gostatsd")
    assert settings(builder)["tags.host"] == "x"
    assert said(builder, "hostname") == 'dropped: for its own metrics only; default-tags set tags.host = "x"'
