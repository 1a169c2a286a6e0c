"""Loads a valid configuration from a file, the environment and flags, or raises every problem at once.

Precedence: flag > environment > file > default of an image or a service unit > default. Steps: read the TOML with the
place of each key; collect the settings in the order of precedence; spread lists of tables into their keys; expand
`${NAME}`; convert to the types of the schema; check the rules. Each problem names file, line, key, rule and fix.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import msgspec

from relay.config.environment import expand, read_environment
from relay.config.schema import Config, fields_of
from relay.config.table_lists import LISTED, build_elements, element_of, is_list_of_tables, list_fix, schema_key, spread
from relay.config.toml.places import UNKNOWN, Setting, TomlPlace, closest, parse, read_text
from relay.config.types import Seconds, Secret, Size, given, mask_urls, to_toml, words
from relay.config.validate import ELEMENT_RULES, RULES, is_legal_key, proxy_warnings, value_warnings
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
CREDENTIAL_KEYS: Final = frozenset(
    f"cloud.{name}{suffix}" for name in ("access_key", "secret_key", "session_token") for suffix in ("", "_file")
)
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

    def add(self, place: TomlPlace, message: str, fix: str = "", *, code: str = "RLY102", key: str = "") -> None:
        """Add an error at a place."""
        self.problems.append(place.problem(code=code, message=mask_urls(message), fix=fix, key=key))

    def add_of(self, setting: Setting, message: str, element: int | None = None) -> None:
        """Add the error that a value, or one element of a list, breaks a rule.

        For an empty variable the fix is to unset the variable.
        """
        key, place = setting.key, setting.of_element(element)
        if setting.from_text and setting.value == "":
            fix = "; ".join(filter(None, (f"unset {setting.place.source}", default_of(key))))
            self.add(place, f"{key} is empty", fix, key=key)
        else:
            self.add(place, f"{key} {message}", default_of(key), key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A configuration with everything that is wrong with it; a wrong value is replaced by its default."""

    loaded: Loaded
    errors: tuple[Problem, ...]
    """In the order of the file."""
    places: Mapping[str, TomlPlace]
    """Where each setting stands, masked if it is private."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
    text: str | None = None,
    is_sending: bool = True,
) -> Loaded:
    """Load and check a configuration; for the arguments see `examine`.

    Raises:
        ConfigError: with every problem.
    """
    examined = examine(path, environ, overrides=overrides, text=text, is_sending=is_sending)
    if examined.errors:
        raise ConfigError(*examined.errors, *examined.loaded.warnings)
    return examined.loaded


def examine(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
    text: str | None = None,
    is_sending: bool = True,
) -> Examined:
    """Load a configuration and find everything that is wrong with it.

    Args:
        path: a TOML file; None: no file.
        environ: environment variables.
        overrides: `table.key` -> value of a flag.
        text: earlier content of the file, used instead of its content now.
        is_sending: False for a command that sends nothing: a credential that refers to a variable which is not set is
            absent, since the relay may have that variable and a shell need not.

    Raises:
        ConfigError: RLY103, the file cannot be read, or is not TOML.
    """
    report = _Report()
    if path and text is None:
        text = read_text(path)
    environment = read_environment(environ)
    in_file = _by_key(parse(path, text or "")) if path else {}
    in_flags = {key: Setting(key, value, TomlPlace(source="flag")) for key, value in (overrides or {}).items()}
    settings = _by_key(environment.defaults) | in_file | _by_key(environment.settings) | in_flags
    overriding = _overriding(in_file, environment.settings)
    settings = _by_key(_spread(settings.values(), report))
    absent = () if is_sending else _find_absent(settings.values(), environ)
    settings = {key: setting for key, setting in settings.items() if key not in absent}
    values = _convert(_known(settings.values(), report), environ, report)
    config = _build(values)
    _check(config, settings, values, report)
    wrong = {problem.key for problem in report.problems}
    warnings = (
        *environment.unknown,
        *overriding,
        *(_placed(warning, settings) for warning in value_warnings(config) if warning.key not in wrong),
        *proxy_warnings(config, environ),
        *_open_secrets(path, settings.values()),
    )
    origins = {key: setting.place.origin() for key, setting in settings.items() if "." in key}
    return Examined(
        loaded=Loaded(config=config, origins=origins, warnings=warnings, path=path, text=text if path else None),
        errors=tuple(sorted(report.problems, key=lambda problem: problem.line)),
        places={key: setting.shown for key, setting in settings.items()},
    )


def _placed(problem: Problem, settings: Mapping[str, Setting]) -> Problem:
    """Return a problem with the place of its key."""
    if problem.key not in settings:
        return problem
    place = settings[problem.key].shown
    return replace(
        problem, source=place.source, line=place.line, column=place.column, text=place.text, width=place.width
    )


def _find_absent(settings: Iterable[Setting], environ: Mapping[str, str]) -> set[str]:
    """Return the keys of credentials that refer to a variable which is not set."""
    return {one.key for one in settings if one.key in CREDENTIAL_KEYS and expand(one.value, environ)[1]}


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
    for key, element_rule in ELEMENT_RULES.items():
        for number, message in element_rule(config):
            report.add_of(settings.get(key, Setting(key, None, UNKNOWN)), message, number)
    if config.cloud.provider == "file" and not config.cloud.file:
        message = 'cloud.file is missing: provider = "file" writes requests there'
        fix = 'name a path: file = "/var/tmp/requests.ndjson"'
        report.add(settings["cloud.provider"].shown, message, fix, code="RLY110", key="cloud.file")
    broken = {element_of(key) for key in settings.keys() - values.keys()}
    for error in find_errors(config):
        element = element_of(error.key)
        if element not in broken:
            place = settings[error.key if error.key in settings else element].shown
            report.add(place, f"{error.key} {error.message}", error.fix, code=error.code, key=error.key)


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
    unknown: set[str] = set()
    for setting in settings:
        table, dot, name = setting.key.partition(".")
        is_known = table == "tags" or schema_key(setting.key) in known
        if table == "tags" and dot and not is_legal_key(name):
            message = f'tags: key "{name}" must be letters, digits, dots and underscores'
            report.add(setting.place.masked(), message, key=setting.key)
        elif is_known and (dot or table in LISTED):
            found.append(setting)
        elif table not in TABLES:
            if table not in unknown:
                place = setting.inner.get(table, setting.place).masked()
                report.add(place, f"unknown table [{table}]", closest(table, TABLES, "[{}]"), key=table)
            unknown.add(table)
        elif not dot:
            if setting.value != {}:
                report.add(
                    setting.place.masked(), f"{table} must be a table", f"write [{table}] over its keys", key=table
                )
        else:
            _report_unknown(setting, known, report)
    return found


def _report_unknown(setting: Setting, known: Mapping[str, Any], report: _Report) -> None:
    table = setting.key.partition(".")[0]
    name = schema_key(setting.key).partition(".")[2]
    names = [key.partition(".")[2] for key in known if key.startswith(f"{table}.")]
    written = f"[[{table}]]" if table in LISTED else f"[{table}]"
    report.add(setting.place.masked(), f"unknown key {name} in {written}", closest(name, names), key=setting.key)


def _convert(settings: Iterable[Setting], environ: Mapping[str, str], report: _Report) -> dict[str, Any]:
    """Return the values in their types; a value of the wrong type is reported and left at its default."""
    types = _every_type()
    values: dict[str, Any] = {}
    for setting in settings:
        expanded, missing = expand(setting.value, environ)
        fix = "set the variable, or give a default: ${NAME:-value}"
        for message in missing:
            report.add(setting.shown, f"{setting.key}: {message}", fix, code="RLY110", key=setting.key)
        if missing:
            continue
        type_ = types.get(schema_key(setting.key), str)
        typed = setting.typed(expanded, type_)
        try:
            values[setting.key] = _convert_one(typed, type_, setting)
        except (msgspec.ValidationError, ValueError) as error:
            _report_type(setting, typed, type_, error, report)
    return values


def _convert_one(value: object, type_: Any, setting: Setting) -> Any:  # noqa: ANN401 - any type of the schema
    return msgspec.convert(value, type_, strict=not setting.from_text, dec_hook=_decode_own)


def _report_type(setting: Setting, value: object, type_: Any, error: Exception, report: _Report) -> None:  # noqa: ANN401
    """Report a value of the wrong type; of a list each element that is wrong."""
    wrong: list[tuple[int | None, object, Exception]] = []
    if get_origin(type_) is list:
        wrong += _wrong_elements(setting, value, get_args(type_)[0])
    for number, element, reason in wrong or [(None, setting.value, error)]:
        rule = _rule(str(reason), words(type_))
        report.add_of(setting, rule if setting.is_private else _with_value(rule, element), number)


def _wrong_elements(setting: Setting, value: object, type_: Any) -> Iterator[tuple[int, object, Exception]]:  # noqa: ANN401
    for number, element in enumerate(value if isinstance(value, list) else []):
        try:
            _convert_one(element, type_, setting)
        except (msgspec.ValidationError, ValueError) as error:
            yield number, element, error


def _with_value(rule: str, value: object) -> str:
    """Append the offending value to a rule, unless the rule names that value already."""
    if value is None or rule.endswith(f"not {given(value)}"):
        return rule
    return f"{rule}: {given(value)}" if ", not " in rule else f"{rule}, not {given(value)}"


def _rule(error: str, known: str) -> str:
    """Turn a message of msgspec into a rule; `known` are the allowed words of the type, if it has any."""
    error = error.replace("`", "").partition(" - at ")[0]
    if error.startswith("Invalid enum value"):
        return f"must be {known}"
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
