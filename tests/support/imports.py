"""The result of an import: its settings as `check` reads them, its report, and its rules applied to a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import re2

from relay.config.loading import load
from relay.model import Kind
from relay.naming.ruleset import Ruleset
from relay.tools.importers import convert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.tools.importers.config_builder import ConfigBuilder
    from relay.tools.importers.detect import Format

SAMPLES = Path(__file__).parents[1] / "tools/importers/samples"
COUNTER = Kind.COUNTER


def imported(name: str) -> ConfigBuilder:
    return convert((SAMPLES / name).read_text(), source=name)


def of_text(text: str, format_: Format | None = None) -> ConfigBuilder:
    return convert(text, source="file", format_=format_)


def settings(builder: ConfigBuilder) -> dict[str, Any]:
    """Return the settings of the result as `check` reads them, without fixed ones."""
    loaded = load(Path("relay.toml"), {}, text=builder.toml())
    config = msgspec.to_builtins(loaded.config, enc_hook=str)
    found = {}
    for key in loaded.origins:
        table, _, name = key.partition(".")
        if table not in ("rule", "tee"):
            found[key] = config[table][name]
    rules = [{key: value for key, value in rule.items() if value not in ("", [], {}, "map")} for rule in config["rule"]]
    tees = [tee["to"] for tee in config["tee"]]
    return found | ({"rule": rules} if rules else {}) | ({"tee": tees} if tees else {})


def by_hand(builder: ConfigBuilder) -> set[int]:
    return {entry.line for entry in builder.lines if entry.verdict == "by hand"}


def said(builder: ConfigBuilder, what: str) -> str:
    """Return verdict and outcome of the one entry that begins with a text."""
    [entry] = [entry for entry in builder.lines if entry.what.startswith(what)]
    return f"{entry.verdict}: {entry.became}"


def verdicts(builder: ConfigBuilder) -> dict[str, str]:
    return {entry.what: entry.verdict for entry in builder.lines}


class Rules:
    """State: the rules of an import."""

    def __init__(self, builder: ConfigBuilder) -> None:
        self.config = load(Path("relay.toml"), {}, text=builder.toml()).config
        self._rules = Ruleset(self.config.rule, re2=re2)

    def __repr__(self) -> str:
        return repr(self._rules)

    def follow(
        self, name: str, tags: Mapping[str, str] = {}, kind: Kind = COUNTER
    ) -> tuple[str, dict[str, str]] | None:
        """Return name and tags of a sample after the rules; None if it is dropped or has no name left."""
        number, captures = self._rules.find(name, kind)
        effect = self._rules.effect(number)
        metric = effect.rename(name, captures)
        return None if effect.drops or not metric else (metric, dict(effect.apply(tags, captures)))
