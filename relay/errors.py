"""Errors shown to a person: each has a code, a message and a fix. Also the reasons of every loss.

These exceptions are for configuration, start-up and the environment of the process. Bad input on the wire is data: it
is counted with one of the reasons below and never raises.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from relay.wording import printable


class ExitCode(IntEnum):
    """Exit codes of the commands (after sysexits.h)."""

    OK = 0
    USAGE = 64
    UNREACHABLE = 69
    INTERNAL = 70
    BIND_OR_STATE = 71
    CREDENTIALS_REFUSED = 77
    CONFIGURATION = 78


CODES: Final[dict[str, str]] = {
    "RLY101": "An address or a path cannot be used: it is in use or missing, or the relay has no permission for it.",
    "RLY102": "The configuration has an unknown key, table or variable, or a value that breaks the key's rule.",
    "RLY103": "A file cannot be used: it is not TOML, holds no credential, or is no file that import can read.",
    "RLY104": "The state directory is not safe: another user owns or can write it, or a file in it is no plain file.",
    "RLY105": "The state directory is in use by another relay.",
    "RLY106": "The target of a tee cannot be used, or is the relay itself; copies to it are lost.",
    "RLY110": "A required setting is missing, most often the region or the credentials.",
    "RLY111": "A variable takes the place of a key of the configuration file.",
    "RLY112": "HTTPS_PROXY or a similar variable is set and not used.",
    "RLY120": "The cloud refused the credentials (401 or 403).",
    "RLY121": "A secret file can be read by every user of this machine.",
    "RLY122": "This machine's clock differs from the cloud's by over a minute.",
    "RLY123": "The open window lies in the future, since the windows until then are committed. It is sent at its end.",
    "RLY124": "The wall clock of this machine stepped.",
    "RLY131": "A rule can never match: an earlier rule matches all of its names.",
    "RLY132": "A pattern or a template of a rule is wrong: its syntax, or a capture that the pattern does not have.",
    "RLY133": "A rule has a regex, and google-re2 is not installed.",
    "RLY140": "Something of an imported configuration needs a person.",
    "RLY201": "The kernel granted a smaller receive buffer than asked for.",
    "RLY202": "The kernel dropped packets because the receive buffer was full.",
    "RLY203": "No packet has come since the start.",
    "RLY204": "Packets have stopped: none has come for five windows.",
    "RLY205": "Stream connections were closed or refused, or fewer are accepted than configured.",
    "RLY301": "Lines were rejected.",
    "RLY302": "Names or tags had characters that the API does not accept and were rewritten.",
    "RLY303": "Series had more tags than the API accepts; the most important tags were kept.",
    "RLY304": "Values were beyond the limits of the API and were clamped.",
    "RLY305": "Samples were dropped.",
    "RLY310": "The series limit is reached; samples of new series go to an overflow series.",
    "RLY311": "Series grow towards a limit, or towards the quota.",
    "RLY401": "The cloud says 429: the quota is used up.",
    "RLY402": "The cloud refused points or requests.",
    "RLY403": "A window needs over 90 % of requests_per_minute; percentiles are not sent.",
    "RLY404": "The cloud answered with a status that needs a person (404, redirect, other 4xx).",
    "RLY405": "The cloud cannot be reached, or gives no answer.",
    "RLY406": "Delivery falls behind: more points are made than sent.",
    "RLY407": "Points were dropped before the cloud took them.",
    "RLY408": "Dead letters were dropped: they are beyond [spool] dead_letters.",
    "RLY410": "The spool is filling, or it is full and the oldest windows are dropped.",
    "RLY411": "Writes to the disk fail; windows that are not on disk stay in memory until writes succeed.",
    "RLY412": "A file of the state directory is damaged or of a newer version; it was set aside.",
    "RLY413": "The state directory is of another host; its open window and gauges are not used.",
    "RLY501": "The worker died and another one was started; or workers keep dying, or the supervisor is gone.",
    "RLY502": "A reload or a replacement was not possible, or the file has an error; what runs is unchanged.",
    "RLY503": "Windows close late: naming, encoding, disk or event loop are behind. Samples stay in their window.",
    "RLY504": "The books do not balance: a line, a sample or a point is not accounted for.",
    "RLY505": "The console's `health` is down by hand.",
    "RLY900": "The native hot path is not installed; the Python one runs.",
}


REJECTED_LINES: Final = (
    "empty_name",
    "no_value",
    "bad_value",
    "bad_type",
    "bad_rate",
    "bad_timestamp",
    "bad_event",
    "reserved_name",
    "truncated",
    "line_too_long",
    "source_denied",
    "series_limit",
    "internal_error",
)
"""Every reason why a line is rejected; metrics and README use the same words."""
DROPPED_SAMPLES: Final = (
    "rule",
    "too_old",
    "too_far_ahead",
    "late_gauge",
    "empty_name",
    "reserved_name",
    "series_limit",
    "no_legal_name",
    "name_collision",
    "stop_without_state",
    "forgotten",
    "other_host",
)
"""Every reason why an accepted sample is dropped."""
DROPPED_POINTS: Final = (
    "name_collision",
    "spool_damaged",
    "spool_full",
    "stop_without_state",
    "too_old",
    "ambiguous",
    "percentile_quota",
)
"""Every reason why a point is dropped before the cloud has accepted or refused it."""
REFUSED_POINTS: Final = ("refused_point", "refused_request", "too_large", "unreadable_answer")
"""Every reason why a point counts as refused by the cloud."""
FAILED_REQUESTS: Final = (
    "dns",
    "connect",
    "tls",
    "timeout",
    "reset",
    "proxy",
    "5xx",
    "bad_answer",
    "file",
    "internal_error",
)
"""Every cause of a request that failed and is sent again. `bad_answer`: not HTTP, too large, or it does not say what
was stored. `file`: ca_file, `cloud.file` or standard output cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration or a start."""

    code: str
    message: str
    fix: str = ""
    severity: Literal["error", "warning"] = "error"
    source: str = ""
    """A file's path, or `environment`."""
    line: int = 0
    """Line number from 1; 0 without a line."""
    column: int = 0
    """Column from 1."""
    text: str = ""
    """The source line."""
    width: int = 1
    """Characters to underline from `column`."""
    key: str = ""
    """The setting, `table.key`, if the problem is that of one."""

    def __str__(self) -> str:
        """`file:line:column error CODE message`, the line with a caret, and the fix."""
        place = f"{self.source}:{self.line}:{self.column} " if self.line else f"{self.source} " if self.source else ""
        lines = [f"{place}{self.severity} {self.code}  {self.message}"]
        if self.text:
            text = self.text.replace("\t", " ")
            before = len(printable(text[: self.column - 1])) + max(0, self.column - 1 - len(text))
            lines.append(f"{self.line:>5} | {text}")
            lines.append(f"      | {' ' * before}{'^' * max(1, self.width)}")
        if self.fix:
            lines.append(f"      fix: {self.fix}")
        return "\n".join(map(printable, lines))

    def located(self) -> str:
        """`file:line message`."""
        place = f"{self.source}:{self.line} " if self.line else f"{self.source} " if self.source else ""
        return f"{place}{self.message}"

    def brief(self) -> str:
        """`file:line message (fix)`."""
        return self.located() + (f" ({self.fix})" if self.fix else "")


def reason_of(error: Exception) -> str:
    """Return the system's text for a failed connection, without the error number or a library's own wording."""
    number: int | None = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else getattr(error, "strerror", None) or str(error)


class RelayError(Exception):
    """A failure with a code and an exit code; printed as one text, never as a traceback."""

    def __init__(self, *problems: Problem, exit_code: ExitCode) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.exit_code = exit_code

    def brief(self) -> str:
        """Return one line for a log: each problem with its place and fix, without the source line."""
        return "; ".join(problem.brief() for problem in self.problems)


def unreachable(message: str, fix: str = "") -> RelayError:
    """Return the error (RLY101) of a command that gets no usable answer from another process."""
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.UNREACHABLE)


def unusable(message: str, fix: str) -> RelayError:
    """Return the error (RLY101) of an address, a file or a directory that cannot be used."""
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)


class ConfigError(RelayError):
    """The configuration as a whole: every problem at once."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems, exit_code=ExitCode.CONFIGURATION)


class TransportError(Exception):
    """A request got no complete answer. Raised in one place: delivery/transport.py."""

    def __init__(self, detail: str, *, cause: str, ambiguous: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cause = cause
        """One of FAILED_REQUESTS."""
        self.ambiguous = ambiguous
        """Bytes of the request may have reached the service."""
