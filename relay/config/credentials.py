"""Finds the credentials: in the configuration, then the environment, then `~/.jdc/config`; the first found are used.

Outside of this file a secret is a `Secret`, which masks itself, and never a plain str.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from relay.config.secret_files import RULE, check_profile, is_legal, read_private, read_secret
from relay.config.types import Secret
from relay.config.validate import REGION_RULE, is_region, region_warnings
from relay.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relay.config.schema import CloudConfig

_ACCESS: Final = ("JDCLOUD_ACCESS_KEY_ID", "JDCLOUD_ACCESS_KEY")
_SECRET: Final = ("JDCLOUD_SECRET_ACCESS_KEY", "JDCLOUD_ACCESS_KEY_SECRET", "JDCLOUD_SECRET_KEY")
_TOKEN: Final = ("JDCLOUD_SESSION_TOKEN",)
_REGION: Final = ("JDCLOUD_REGION_ID", "JDCLOUD_REGION")
_ENVIRONMENT: Final = "environment"
_END: Final = 4
_SHORTENED: Final = 12
"""Shortest access key id of which both ends are shown."""
_PROFILE: Final = ("access_key", "secret_key", "session_token", "region_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Credentials that sign requests, and where they were found."""

    access_key: str
    secret_key: Secret
    region: str
    origin: str
    key_variable: str = ""
    """The variable that has the access key id, or names its file; empty if it comes from elsewhere."""
    region_origin: str = ""
    """`configuration`, a variable, or a profile."""
    session_token: Secret | None = None
    warnings: tuple[Problem, ...] = ()

    def signs_like(self, other: Credentials) -> bool:
        """Say whether key, secret and token are the same; their origins may differ."""
        mine, theirs = (self.access_key, self.secret_key), (other.access_key, other.secret_key)
        return mine == theirs and self.session_token == other.session_token


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    access_key: str
    secret_key: str
    session_token: str
    region: str
    origin: str


def find_credentials(cloud: CloudConfig, environ: Mapping[str, str], home: Path | None) -> Credentials:
    """Return the first credentials found, with the region.

    Raises:
        ConfigError: RLY110, no credentials, only half of them, or no region; RLY102, the region is not legal; RLY103, a
            file cannot be read, or holds an illegal value.
    """
    warnings: list[Problem] = []
    found = (
        _from_configuration(cloud, warnings)
        or _from_environment(environ, warnings)
        or _from_profile(cloud.profile, home, warnings)
    )
    problems = _missing(found)
    profile = _from_profile(cloud.profile, home, []) if not problems else None
    region, region_origin = _find_region(cloud, environ, (found, profile))
    problems += region_errors(region)
    if problems or found is None:
        raise ConfigError(*problems)
    return Credentials(
        access_key=found.access_key,
        secret_key=Secret(found.secret_key),
        session_token=Secret(found.session_token) if found.session_token else None,
        region=region,
        origin=found.origin,
        key_variable=_variable(environ, _ACCESS) if found.origin == _ENVIRONMENT else "",
        region_origin=_variable(environ, _REGION) if region_origin == _ENVIRONMENT else region_origin,
        # loading.py warns of cloud.region
        warnings=(*warnings, *region_warnings("" if cloud.region else region)),
    )


def find_region_problems(cloud: CloudConfig, environ: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with the region of the configuration or the environment, where credentials are left alone.

    Raises:
        ConfigError: RLY103, a variable has an illegal character, or its file cannot be read.
    """
    region = cloud.region or _first(environ, _REGION, [])
    return region_errors(region) or region_warnings("" if cloud.region else region)


def region_errors(region: str) -> list[Problem]:
    """Return the error of a region that is missing or not legal."""
    if region and is_region(region):
        return []
    if region:
        fix = "such as cn-north-1"
        return [Problem(code="RLY102", message=f"the region {REGION_RULE}", fix=fix, key="cloud.region")]
    fix = 'set [cloud] region = "cn-north-1", or JDCLOUD_REGION_ID'
    return [Problem(code="RLY110", message="cloud.region is missing", fix=fix, key="cloud.region")]


def _find_region(
    cloud: CloudConfig, environ: Mapping[str, str], found: tuple[_Found | None, _Found | None]
) -> tuple[str, str]:
    """Return the region and its origin; the credentials' own source comes before the others."""
    own, profile = found
    named = (
        (cloud.region, "configuration"),
        (own.region if own else "", own.origin if own else ""),
        (_first(environ, _REGION, []), _ENVIRONMENT),
        (profile.region if profile else "", profile.origin if profile else ""),
    )
    return next(((region, origin) for region, origin in named if region), ("", ""))


def short_id(access_key: str) -> str:
    """Return an access key id as people are shown it: both ends, enough to find it in the console of the cloud."""
    shown = len(access_key) >= _SHORTENED
    return f"{access_key[:_END]}..{access_key[-_END:]}" if shown else "***" if access_key else ""


def placeholder_credentials(cloud: CloudConfig, environ: Mapping[str, str], error: ConfigError) -> Credentials:
    """Return placeholder credentials, for use while the configured ones cannot be read.

    The cloud refuses them with 401 or 403, and a refusal makes the relay look for credentials again.

    Raises:
        ConfigError: `error`, if neither the configuration nor the environment names a region.
    """
    region = cloud.region or _first(environ, _REGION, [])
    if not is_region(region):
        raise error
    key = Secret("unusable")
    return Credentials(
        access_key="unusable", secret_key=key, region=region, origin="unusable until repaired", warnings=error.problems
    )


def _missing(found: _Found | None) -> list[Problem]:
    if found is None:
        fix = "set JDCLOUD_ACCESS_KEY_ID and JDCLOUD_SECRET_ACCESS_KEY; without an account: `demo`, or `run --dry-run`"
        return [Problem(code="RLY110", message="no credentials for JD Cloud", fix=fix, key="cloud.access_key")]
    half = [name for name in ("access_key", "secret_key") if not getattr(found, name)]
    return [
        Problem(
            code="RLY110",
            message=f"{name} is missing: the {found.origin} sets only the other half",
            fix=f"set {name} there too",
            key=f"cloud.{name}",
        )
        for name in half
    ]


def _from_configuration(cloud: CloudConfig, warnings: list[Problem]) -> _Found | None:
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for name in ("access_key", "secret_key", "session_token"):
        try:
            values[name] = _read(cloud, name, warnings)
        except ConfigError as error:
            problems += [replace(problem, key=f"cloud.{name}_file") for problem in error.problems]
    if problems:
        raise ConfigError(*problems)
    if not values["access_key"] and not values["secret_key"]:
        return None
    return _Found(**values, region=cloud.region, origin="configuration")


def _read(cloud: CloudConfig, name: str, warnings: list[Problem]) -> str:
    """Return a credential of the configuration, or the content of the file that it names."""
    text: str = getattr(cloud, name)
    value = text.reveal() if isinstance(text, Secret) else text
    return value or read_secret(getattr(cloud, f"{name}_file"), warnings)


def _from_environment(environ: Mapping[str, str], warnings: list[Problem]) -> _Found | None:
    access, secret = _first(environ, _ACCESS, warnings), _first(environ, _SECRET, warnings)
    if not access and not secret:
        return None
    return _Found(access, secret, _first(environ, _TOKEN, warnings), _first(environ, _REGION, warnings), _ENVIRONMENT)


def _variable(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return the first variable that is set, or that names a file."""
    return next((one for name in names for one in (name, f"{name}_FILE") if environ.get(one, "").strip()), "")


def _first(environ: Mapping[str, str], names: tuple[str, ...], warnings: list[Problem]) -> str:
    """Return the value of the first variable that is set, directly or as NAME_FILE.

    Raises:
        ConfigError: RLY103, the value has an illegal character.
    """
    for name in names:
        value = environ.get(name, "").strip()
        if not is_legal(value):
            problem = Problem(code="RLY103", message=f"{name} {RULE}", fix="set it again", source="environment")
            raise ConfigError(problem)
        value = value or read_secret(environ.get(f"{name}_FILE", ""), warnings)
        if value:
            return value
    return ""


def _from_profile(profile: str, home: Path | None, warnings: list[Problem]) -> _Found | None:
    if home is None:
        return None
    directory = home / ".jdc"
    path = directory / "config"
    try:
        if not path.is_file():
            return None
        name = profile or read_secret(str(directory / "current"), []) if (directory / "current").is_file() else profile
        text = read_private(str(path), warnings)
        section = _read_section(text, path, name or "default")
    except PermissionError:
        return None
    check_profile(section, text, str(path))
    access, secret, token, region = (section.get(key, "") for key in _PROFILE)
    return _Found(access, secret, token, region, f"profile {name or 'default'} of ~/.jdc/config")


def _read_section(text: str, path: Path, name: str) -> dict[str, str]:
    """Return a section of an INI file; the parser's messages are not passed on, as they quote lines with secrets.

    Raises:
        ConfigError: RLY103, the file has no such section, or is not INI.
    """
    parser = configparser.ConfigParser(interpolation=None)
    line = 0
    try:
        parser.read_string(text)
        return {key: value for key, value in parser[name].items() if key in _PROFILE}
    except configparser.Error as error:
        numbers = [number for number, _ in getattr(error, "errors", ())]
        line = getattr(error, "lineno", None) or min(numbers, default=0)
        message = "is not INI"
    except KeyError:
        message = f"has no profile {name}"
    fix = "name a profile of that file in [cloud] profile"
    raise ConfigError(Problem(code="RLY103", message=message, fix=fix, source=str(path), line=line, column=1))
