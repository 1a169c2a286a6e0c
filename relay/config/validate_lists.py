"""Rules that the elements of `[[rule]]` and `[[tee]]` must satisfy beyond their types."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relay import limits
from relay.config.addresses import is_loop, parse_target
from relay.config.validate import is_legal_key
from relay.patterns import NoEngineError, PatternError
from relay.patterns.globs import NEVER, Glob, GlobTree
from relay.patterns.regexes import Regex, find_re2
from relay.patterns.templates import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.config.schema import Config, RuleConfig

_TEES_MOST: Final = limits.TEES_MOST - limits.TEES_TEMPORARY


class ElementError(NamedTuple):
    """An error in one key of an element, or in the element as a whole."""

    key: str
    """`rule.2.match`, or `rule.2`."""
    message: str
    fix: str = ""
    code: str = "RLY102"


def find_errors(config: Config) -> Iterator[ElementError]:
    """Yield every error in the elements of a configuration."""
    checker = _PatternChecker(find_re2() if any(rule.regex for rule in config.rule) else None)
    for number, rule in enumerate(config.rule, 1):
        yield from _of_rule(f"rule.{number}", rule)
        if bool(rule.match) != bool(rule.regex):
            yield from checker.errors(number, rule)
    for number, tee in enumerate(config.tee, 1):
        yield from _of_tee(number, tee.to, config)


def _of_tee(number: int, to: str, config: Config) -> Iterator[ElementError]:
    if number > _TEES_MOST:
        yield ElementError(f"tee.{number}", f"is one too many: at most {_TEES_MOST} tees are allowed", "remove it")
    try:
        host, port = parse_target(to)
    except ValueError as error:
        yield ElementError(f"tee.{number}.to", str(error))
        return
    if is_loop(host, port, config.listen.udp):
        message = f'"{to}" is an address of this relay: copies would come back for ever'
        yield ElementError(f"tee.{number}.to", message, "name the address of the other daemon", code="RLY106")


class _PatternChecker:
    """State: the patterns of the rules checked so far, any of which may cover a later one."""

    def __init__(self, re2: Any | None) -> None:  # noqa: ANN401 - a module without types
        self._re2 = re2
        self._trees: defaultdict[str, GlobTree] = defaultdict(GlobTree)
        self._regexes: dict[tuple[str, str], int] = {}

    def errors(self, number: int, rule: RuleConfig) -> Iterator[ElementError]:
        """Yield the errors in the pattern of the next rule, and in its templates."""
        key, text = ("regex", rule.regex) if rule.regex else ("match", rule.match)
        try:
            groups, covering = self._regex(number, rule) if rule.regex else self._glob(number, rule)
        except NoEngineError as error:
            yield ElementError(f"rule.{number}.{key}", str(error), error.fix, "RLY133")
            return
        except PatternError as error:
            yield ElementError(f"rule.{number}.{key}", str(error), error.fix, "RLY132")
            return
        if covering != NEVER:
            fix = "put the narrower rule first, or remove it"
            message = f'"{text}" can never match: rule {covering} matches all of its names first'
            yield ElementError(f"rule.{number}.{key}", message, fix, "RLY131")
        for name, template in (("metric", rule.metric), *(("tags", value) for value in rule.tags.values())):
            try:
                Template(template, groups)
            except PatternError as error:
                yield ElementError(f"rule.{number}.{name}", str(error), error.fix, "RLY132")

    def _glob(self, number: int, rule: RuleConfig) -> tuple[int, int]:
        """Return the number of captures of a glob, and the number of the rule that covers it, or NEVER."""
        glob = Glob.parse(rule.match)
        covering = self._covering(rule, glob)
        self._trees[rule.type].add(glob, number)
        return glob.groups, covering

    def _regex(self, number: int, rule: RuleConfig) -> tuple[int, int]:
        regex = Regex(rule.regex, self._re2)
        same = (self._regexes.get((rule.regex, type_), NEVER) for type_ in ("", rule.type))
        covering = min(self._covering(rule, Glob((), is_open=True)), *same)
        self._regexes.setdefault((rule.regex, rule.type), number)
        return regex.groups, covering

    def _covering(self, rule: RuleConfig, glob: Glob) -> int:
        return min(self._trees[type_].covering(glob) for type_ in ("", rule.type))


def _of_rule(key: str, rule: RuleConfig) -> Iterator[ElementError]:
    if bool(rule.match) == bool(rule.regex):
        yield ElementError(key, "must have either match or regex", 'for every name: match = "**"')
    if rule.namespace and not (is_legal_key(rule.namespace) and len(rule.namespace) <= limits.NAME_BYTES):
        yield ElementError(
            f"{key}.namespace", f"must be letters, digits, dots and underscores, at most {limits.NAME_BYTES}"
        )
    for name in (*rule.tags, *rule.rename_tags.values()):
        if not is_legal_key(name):
            where = "tags" if name in rule.tags else "rename_tags"
            yield ElementError(
                f"{key}.{where}", f'has the key "{name}": a key must be letters, digits, dots and underscores'
            )
