"""`statsd-relay reload`: lets the running relay load its configuration or the installed program, and waits for it."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from relay.admin.answers.config import ReloadAnswer
from relay.admin.answers.error import ErrorAnswer
from relay.cli.running.admin_client import ask, refusal
from relay.cli.running.effective import load_file
from relay.cli.running.find import NoRelay, RunningRelay, find_holder, find_relay, identify, say_source
from relay.cli.running.places import Places, places_of_this_shell
from relay.cli.running.token import find_token
from relay.cli.shared.options import json_option, relay_options
from relay.cli.shared.output import say
from relay.errors import ConfigError, Problem, RelayError, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.cli.running.admin_client import Address

_RELOAD_SECONDS: Final = 30.0
"""Time for the answer: the relay reads files, of which one may be a pipe that needs 10 s."""
_REPLACE_SECONDS: Final = 60.0
"""Time until another worker answers: the new program is tried, and the old worker hands its window over."""
_POLL: Final = 0.2
_ANSWER_BYTES: Final = 1_048_576


@click.command()
@relay_options
@click.option("--upgrade", is_flag=True, help="Replace the worker with the installed program, without a loss.")
@json_option()
def reload(admin: Sequence[Address] | None, path: Path | None, *, upgrade: bool, as_json: bool) -> None:
    """Let the running relay load its configuration; print what changes, and when.

    The relay checks it in its own environment. If it refuses, nothing has changed, and the exit code is 78.
    """
    found = find_relay(admin, path)
    if isinstance(found, NoRelay):
        raise found.error()
    say_source(found, as_json=as_json)
    token = find_token(found, path) if found.address and found.index.pid else ""
    if not token:
        _signal(found, path, upgrade=upgrade, as_json=as_json)
        return
    answer = post_reload(found, token, upgrade=upgrade)
    after = wait_for_worker(found, answer) if answer.is_replacing else found
    if as_json:
        whole = msgspec.to_builtins(msgspec.structs.replace(answer, generation=_generation(answer, after)))
        say(json.dumps({**whole, "before": found.as_json(), "source": after.as_json()}, indent=2))
        return
    for line in in_words(answer, found, after):
        say(line)


def post_reload(relay: RunningRelay, token: str, *, upgrade: bool) -> ReloadAnswer:
    """Ask a relay to reload.

    Raises:
        ConfigError: the relay refuses the configuration; with every problem.
        RelayError: RLY101, the relay does not answer, or the token is refused.
    """
    address = relay.reached()
    way = "/-/reload?upgrade=true" if upgrade else "/-/reload"
    status, body = ask(address, way, post=b"", token=token, most=_ANSWER_BYTES, timeout=_RELOAD_SECONDS)
    if status == 200:
        return msgspec.json.decode(body, type=ReloadAnswer)
    if status == 409:
        raise ConfigError(*msgspec.json.decode(body, type=ErrorAnswer).error.problems)
    raise refusal(address, status, body)


def wait_for_worker(before: RunningRelay, answer: ReloadAnswer) -> RunningRelay:
    """Wait until another worker answers; return the relay as it is then.

    Raises:
        ConfigError: RLY502, the replacement is refused; the worker goes on.
        RelayError: RLY101, no other worker answers in time.
    """
    until = time.monotonic() + _REPLACE_SECONDS
    while time.monotonic() < until:
        now = _look(before)
        if now and now.index.worker not in (0, before.index.worker):
            return now
        if now and now.index.refusals > answer.refusals:
            raise _not_replaced(now.index.refused)
        time.sleep(_POLL)
    raise unreachable(f"no other worker answers within {_REPLACE_SECONDS:.0f} s", "the log of the relay has the reason")


def _not_replaced(reason: str) -> ConfigError:
    """Return the error of a refused replacement; a reason of several lines, which `check` would print, is printed."""
    message = "not replaced, nothing has changed"
    if "\n" in reason:
        say(reason, err=True)
        return ConfigError(Problem(code="RLY502", message=message))
    return ConfigError(Problem(code="RLY502", message=f"{message}: {reason}"))


def _look(before: RunningRelay) -> RunningRelay | None:
    """Return the relay as it is now, also on another address; None while workers change."""
    try:
        return identify(before.reached())
    except RelayError:
        state = before.index.state_directory
        found = find_holder(Places(file=None, addresses=(), directories=(Path(state),) if state else ()))
        return found if found and found.address else None


def in_words(answer: ReloadAnswer, before: RunningRelay, after: RunningRelay) -> Iterator[str]:
    """Yield what changes and when; after a replacement also both versions."""
    if not answer.is_replacing:
        yield f"generation {answer.generation}: {'; '.join(_when(answer)) or 'nothing has changed'}"
        return
    old, new = before.index, after.index
    if answer.with_new_worker:
        changed = ", ".join([*answer.at_once, *answer.at_next_window, *answer.with_new_worker])
        yield f"generation {_generation(answer, after)}: by a new worker {changed}"
    yield f"worker {old.worker} with {old.version} replaced by worker {new.worker} with {new.version}"


def _generation(answer: ReloadAnswer, after: RunningRelay) -> int:
    return after.index.generation if answer.is_replacing else answer.generation


def _when(answer: ReloadAnswer) -> Iterator[str]:
    if answer.at_once:
        yield f"at once {', '.join(answer.at_once)}"
    if answer.at_next_window:
        yield f"from {datetime.fromisoformat(answer.begins).astimezone():%H:%M:%S} {', '.join(answer.at_next_window)}"


def _signal(relay: RunningRelay, path: Path | None, *, upgrade: bool, as_json: bool) -> None:
    """Check the configuration here, and signal the relay, which cannot tell what came of it.

    Raises:
        RelayError: the configuration has errors; RLY101, the process is not known, or is another user's.
    """
    load_file(path or (Path(relay.index.file) if relay.index.file else None))
    held = relay if relay.index.pid else find_holder(places_of_this_shell(path))
    pid = signal_relay(held.index.pid if held else 0, signal.SIGUSR2 if upgrade else signal.SIGHUP)
    if as_json:
        found: dict[str, Any] = {"pid": pid, "upgrade": upgrade, "source": relay.as_json()}
        say(json.dumps(found))
        return
    asked = "replace its worker" if upgrade else "reload"
    say(f"asked process {pid} to {asked}; over the admin port it does not answer: its log says what came of it")


def signal_relay(pid: int, number: signal.Signals) -> int:
    """Signal a relay; return its pid.

    Raises:
        RelayError: RLY101, its process is not known, or belongs to another user.
    """
    if not pid:
        fix = "send SIGHUP (SIGUSR2 to replace) to its process, as its user or as root"
        raise unreachable("the process of the relay is not known to this user", fix)
    try:
        os.kill(pid, number)
    except OSError as error:
        fix = "run it as the relay's user or as root"
        raise unreachable(f"cannot signal process {pid}: {error.strerror}", fix) from error
    return pid
