"""Loads a valid configuration from a file, the environment and flags, or raises every problem at once.

Precedence: flag > environment > file > default of an image or a service unit > default. Steps: read the TOML with the
place of each key; collect the settings in the order of precedence; spread lists of tables into their keys; expand
`${NAME}`; convert to the types of the schema; check the rules. Each problem names file, line, key, rule and fix.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from relay.config.environment import expand, read_environment
from relay.config.schema import Config, fields_of
from relay.config.table_lists import LISTED, build_elements, element_of, is_list_of_tables, list_fix, schema_key, spread
from relay.config.toml_places import UNKNOWN, Setting, TomlPlace, closest, parse, read_text
from relay.config.types import Seconds, Secret, Size, given, mask_urls, to_toml, words
from relay.config.validate import RULES, is_legal_key, proxy_warnings, value_warnings
from relay.config.validate_lists import find_errors
from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_TYPES: Final = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
"""msgspec's names of types -> words for the reader of a message."""
TABLES: Final = {info.name: info.type for info in fields_of(Config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A valid configuration."""

    config: Config
    origins: Mapping[str, str]
    """`table.key` -> where the value comes from; a key that is absent has its default."""
    warnings: tuple[Problem, ...]
    path: Path | None
    text: str | None = field(default=None, repr=False)
    """Content of the file, with any secrets in it."""


@dataclass(slots=True)
class _Report:
    """State: the problems found so far."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, place: TomlPlace, message: str, fix: str = "", code: str = "RLY102") -> None:
        """Add an error at a place."""
        self.problems.append(place.problem(code=code, message=mask_urls(message), fix=fix))

    def add_of(self, setting: Setting, message: str) -> None:
        """Add the error that a value breaks a rule; for an empty variable the fix is to unset the variable."""
        if setting.from_text and setting.value == "":
            fix = "; ".join(filter(None, (f"unset {setting.place.source}", default_of(setting.key))))
            self.add(setting.shown, f"{setting.key} is empty", fix)
        else:
            self.add(setting.shown, f"{setting.key} {message}", default_of(setting.key))


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
    text: str | None = None,
) -> Loaded:
    """Load and check a configuration.

    Args:
        path: a TOML file; None: no file.
        environ: environment variables.
        overrides: `table.key` -> value of a flag.
        text: earlier content of the file, used instead of its content now.

    Raises:
        ConfigError: with every problem.
    """
    report = _Report()
    if path and text is None:
        text = read_text(path)
    environment = read_environment(environ)
    in_file = _by_key(parse(path, text or "")) if path else {}
    in_flags = {key: Setting(key, value, TomlPlace(source="flag")) for key, value in (overrides or {}).items()}
    settings = _by_key(environment.defaults) | in_file | _by_key(environment.settings) | in_flags
    warnings = [*environment.unknown, *_overriding(in_file, environment.settings)]
    settings = _by_key(_spread(settings.values(), report))
    values = _convert(_known(settings.values(), report), environ, report)
    config = _build(values)
    _check(config, settings, values, report)
    if report.problems:
        raise ConfigError(*sorted(report.problems, key=lambda problem: problem.line), *warnings)
    origins = {key: setting.place.origin() for key, setting in settings.items()}
    found = (
        *warnings,
        *value_warnings(config),
        *proxy_warnings(config, environ),
        *_open_secrets(path, settings.values()),
    )
    return Loaded(config=config, origins=origins, warnings=found, path=path, text=text if path else None)


def _by_key(settings: Iterable[Setting]) -> dict[str, Setting]:
    return {setting.key: setting for setting in settings}


def _overriding(in_file: Mapping[str, Setting], variables: Iterable[Setting]) -> list[Problem]:
    """Return a warning for each variable that overrides a key of the file."""
    return [
        Problem(
            code="RLY111",
            severity="warning",
            message=f"{setting.place.source} overrides {setting.key} of {in_file[setting.key].place.origin()}",
            fix="remove one of the two",
        )
        for setting in variables
        if setting.key in in_file
    ]


def _check(config: Config, settings: Mapping[str, Setting], values: Mapping[str, Any], report: _Report) -> None:
    """Report values that break a rule; an element with an error already reported is not checked further."""
    for key, rule in RULES.items():
        message = rule(config)
        if message:
            report.add_of(settings.get(key, Setting(key, None, UNKNOWN)), message)
    if config.cloud.provider == "file" and not config.cloud.file:
        message = 'cloud.file is missing: provider = "file" writes requests there'
        fix = 'name a path: file = "/var/tmp/requests.ndjson"'
        report.add(settings["cloud.provider"].shown, message, fix, "RLY110")
    broken = {element_of(key) for key in settings.keys() - values.keys()}
    for error in find_errors(config):
        element = element_of(error.key)
        if element not in broken:
            place = settings[error.key if error.key in settings else element].place
            report.add(place, f"{error.key} {error.message}", error.fix, error.code)


def _open_secrets(path: Path | None, settings: Iterable[Setting]) -> list[Problem]:
    """Return a warning if the file holds a secret and every user can read it; a reference `${NAME}` is not a secret."""
    types = keys()
    held = [one for one in settings if types.get(one.key) is Secret and one.place.line and "${" not in str(one.value)]
    if path is None or not held or not _is_open_to_all(path):
        return []
    message = f"{path} holds {held[0].key} and can be read by every user of this machine"
    fix = f"chmod 600 {path}, or name a file in {held[0].key}_file"
    return [Problem(code="RLY121", severity="warning", message=message, fix=fix)]


def _is_open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:  # the file was removed after it was read
        return False


def keys() -> dict[str, Any]:
    """Return every key, `table.key`, with its type; without lists of tables and `tags`, which has free keys."""
    return _types({table: type_ for table, type_ in TABLES.items() if table != "tags" and table not in LISTED})


def _types(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{table}.{info.name}": get_args(info.type)[0] for table, type_ in tables.items() for info in fields_of(type_)
    }


def _every_type() -> dict[str, Any]:
    """Return the type of each `schema_key`; an element of a list as a whole is a dict."""
    return keys() | _types(LISTED) | dict.fromkeys(LISTED, dict)


def _spread(settings: Iterable[Setting], report: _Report) -> Iterator[Setting]:
    """Yield the settings, a list of tables as its elements and their keys; report a list that is not one of tables."""
    reported: set[str] = set()
    for setting in settings:
        table = setting.key.partition(".")[0]
        if table not in LISTED:
            yield setting
        elif setting.key == table and is_list_of_tables(setting.value):
            yield from spread(setting)
        elif table not in reported:
            reported.add(table)
            report.add(setting.place.without_value(), f"{table} must be a list of tables", list_fix(setting))


def _known(settings: Iterable[Setting], report: _Report) -> list[Setting]:
    """Report unknown tables and keys; return the others."""
    known = _every_type()
    found: list[Setting] = []
    for setting in settings:
        table, _, name = setting.key.partition(".")
        if table == "tags" and not is_legal_key(name):
            report.add(
                setting.place.without_value(), f'tags: key "{name}" must be letters, digits, dots and underscores'
            )
        elif table == "tags" or schema_key(setting.key) in known:
            found.append(setting)
        elif table not in TABLES:
            report.add(setting.place.without_value(), f"unknown table [{table}]", closest(table, TABLES, "[{}]"))
        else:
            name = schema_key(setting.key).partition(".")[2]
            names = [key.partition(".")[2] for key in known if key.startswith(f"{table}.")]
            written = f"[[{table}]]" if table in LISTED else f"[{table}]"
            report.add(setting.place.without_value(), f"unknown key {name} in {written}", closest(name, names))
    return found


def _convert(settings: Iterable[Setting], environ: Mapping[str, str], report: _Report) -> dict[str, Any]:
    """Return the values in their types; a value of the wrong type is reported and left at its default."""
    types = _every_type()
    values: dict[str, Any] = {}
    for setting in settings:
        expanded, missing = expand(setting.value, environ)
        for message in missing:
            report.add(
                setting.shown,
                f"{setting.key}: {message}",
                "set the variable, or give a default: ${NAME:-value}",
                "RLY110",
            )
        if missing:
            continue
        type_ = types.get(schema_key(setting.key), str)
        try:
            values[setting.key] = msgspec.convert(
                setting.typed(expanded, type_),
                type_,
                strict=not setting.from_text,
                dec_hook=_decode_own,
            )
        except (msgspec.ValidationError, ValueError) as error:
            rule = _rule(str(error), words(type_), is_private=setting.is_private)
            report.add_of(setting, rule if setting.is_private else _with_value(rule, setting.value))
    return values


def _with_value(rule: str, value: object) -> str:
    """Append the offending value to a rule, unless the rule names that value already."""
    if value is None or rule.endswith(f"not {value!r}"):
        return rule
    return f"{rule}: {given(value)}" if ", not " in rule else f"{rule}, not {given(value)}"


def _rule(error: str, known: str, *, is_private: bool) -> str:
    """Turn a message of msgspec into a rule."""
    error = error.replace("`", "").partition(" - at ")[0]
    if error.startswith("Invalid enum value"):
        given = "" if is_private else f", not{error.removeprefix('Invalid enum value')}"
        return f"must be {known}{given}"
    expected, _, got = error.removeprefix("Expected ").partition(", got ")
    if not got:
        return "must be a number that a float can hold" if error == "Number out of range" else error
    types = _TYPES | ({"str": known} if known else {})
    return f"must be {' or '.join(types.get(word, word) for word in expected.split(' | '))}, not {_TYPES.get(got, got)}"


def default_of(key: str) -> str:
    """Return a fix that names the default of a key; empty for a tag, and for a key that is empty by default."""
    table, _, name = key.partition(".")
    default = "" if table == "tags" or table in LISTED else getattr(getattr(Config(), table), name)
    return f"the default is {name} = {to_toml(default)}" if default or default == 0 else ""


def _decode_own(type_: type, value: object) -> object:
    if issubclass(type_, (Seconds, Size)):
        return type_.parse(value)
    if type_ is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("must be a text")


def _build(values: Mapping[str, Any]) -> Config:
    config = Config()
    changes: dict[str, Any] = {}
    for table in LISTED:
        changes[table] = build_elements(values, table)
    for table in TABLES.keys() - LISTED.keys():
        given = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{table}.")}
        old = getattr(config, table)
        changes[table] = {**old, **given} if table == "tags" else msgspec.structs.replace(old, **given)
    if changes["tags"].get("host") == "":
        del changes["tags"]["host"]
    return Config(**changes)
