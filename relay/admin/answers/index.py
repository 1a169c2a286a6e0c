"""The answer of `GET /api/v1/`: which relay answers."""

from __future__ import annotations

import msgspec


class IndexAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The relay behind the admin port; a client without access gets the version alone."""

    version: str
    host: str = ""
    """Value of the `host` dimension as it is sent; without that dimension the name of the machine."""
    pid: int = 0
    """The process that takes the signals: the supervisor, or the worker without one."""
    worker: int = 0
    """The process that receives and delivers."""
    started: str = ""
    """Start of the worker, ISO 8601 in UTC."""
    file: str = ""
    """Path of the configuration file; empty without one."""
    generation: int = 0
    """1 at the first start, and one more for each applied reload."""
    since: str = ""
    """Time at which this generation was accepted, ISO 8601 in UTC."""
    sha256: str = ""
    """Of the content of the file in force."""
    refusals: int = 0
    """Replacements of this worker that were refused."""
    refused: str = ""
    """Why the last one was."""
    state_directory: str = ""
    """Empty: requests are kept in memory only."""
