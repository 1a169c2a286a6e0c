"""Finds every problem at which a start would stop or warn, by the code that a start runs, and without its effects.

No socket is opened, no file is made and the state directory is left alone: a relay may be running beside it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay import limits
from relay.config.credentials import find_region_problems
from relay.config.loading import CREDENTIAL_KEYS, examine
from relay.daemon.build import ingest_settings
from relay.daemon.cloud import make_transport, needed_credentials
from relay.errors import Problem, RelayError
from relay.naming.dimensions import choose, legal_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.config.loading import Examined
    from relay.config.schema import CloudConfig, Config


def find_problems(path: Path | None, *, with_credentials: bool = True) -> list[Problem]:
    """Return every problem of a file and this environment, in the order of the file, errors before warnings.

    Args:
        path: the configuration file; None: no file.
        with_credentials: False for a machine without them: missing credentials are no problem, a missing region is a
            warning.
    """
    try:
        examined = examine(path, os.environ, is_sending=with_credentials)
    except RelayError as error:
        return list(error.problems)
    placed = [_placed(one, examined) for one in _at_start(examined, with_credentials=with_credentials)]
    return sorted(dict.fromkeys(placed), key=lambda one: one.severity != "error")


def _at_start(examined: Examined, *, with_credentials: bool) -> Sequence[Problem]:
    """Return the problems of the configuration, and those of the steps of a start that can be taken with it."""
    config, wrong = examined.loaded.config, {problem.key for problem in examined.errors}
    found = [*examined.errors, *map(_as_error_if_unknown, examined.loaded.warnings), *find_unsent_tags(config)]
    found += _of_cloud(config.cloud, with_credentials=with_credentials, wrong=wrong)
    if not wrong & {"cloud.file", "cloud.ca_file", "cloud.provider"}:
        found += _raised(lambda: check_transport(config.cloud))
    if not wrong:
        found += _raised(lambda: ingest_settings(config))
    return found


def _of_cloud(cloud: CloudConfig, *, with_credentials: bool, wrong: set[str]) -> list[Problem]:
    """Return the problems of credentials and region, without those that were found already."""
    if cloud.provider != "jdcloud" or "cloud.provider" in wrong:
        return []
    if with_credentials and not wrong & CREDENTIAL_KEYS:
        found = _raised(lambda: needed_credentials(cloud))
    else:
        found = _raised(lambda: find_region_problems(cloud, os.environ))
    if not with_credentials:
        found = [replace(one, severity="warning") if one.code == "RLY110" else one for one in found]
    return [one for one in found if one.key != "cloud.region" or "cloud.region" not in wrong]


def _raised(step: Callable[[], Any]) -> list[Problem]:
    """Return the problems at which a step of a start stops, or of which it warns."""
    try:
        result = step()
    except RelayError as error:
        return list(error.problems)
    return list(result if isinstance(result, list) else getattr(result, "warnings", ()))


def check_transport(cloud: CloudConfig) -> None:
    """Check the files of certificates and output, without making one.

    Raises:
        ConfigError: RLY103, a file cannot be used.
    """
    if cloud.provider == "stdout":
        return
    output = Path(cloud.file)
    if cloud.provider == "jdcloud" or output.exists() or not os.access(output.parent, os.W_OK | os.X_OK):
        make_transport(cloud)


def _as_error_if_unknown(problem: Problem) -> Problem:
    """A misspelt variable has no effect in `run`, which warns; in a check it is an error."""
    return replace(problem, severity="error") if problem.source == "environment" else problem


def _placed(problem: Problem, examined: Examined) -> Problem:
    place = examined.places.get(problem.key)
    if problem.source or place is None:
        return problem
    return replace(
        problem, source=place.source, line=place.line, column=place.column, text=place.text, width=place.width
    )


def find_unsent_tags(config: Config) -> list[Problem]:
    """Return a warning for each of `[tags]` that is never sent, since the others take up what the API accepts."""
    sent = dict(choose({}, legal_pairs(config.tags.items())))
    fix = f"the API accepts {limits.DIMENSIONS_MAX} tags of {limits.DIMENSIONS_BYTES} bytes in all: remove some"
    return [
        Problem(
            code="RLY303",
            severity="warning",
            message=f"tags.{key} is never sent: {', '.join(sent)} come before it",
            fix=fix,
            key=f"tags.{key}",
        )
        for key, value in config.tags.items()
        if value and key not in sent
    ]
