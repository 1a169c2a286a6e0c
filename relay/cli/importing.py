"""Where the result of an import goes: a file that nobody else's is lost for, or the terminal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from relay.config.importers import BYTES_MOST
from relay.errors import ConfigError, ExitCode, Problem, RelayError

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


def read(path: Path) -> str:
    """Return the text of a configuration to import.

    Raises:
        ConfigError: RLY103, it cannot be read, is too long, or is not text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MOST + 1)
        if len(content) > BYTES_MOST:
            message = f"{path} is longer than {BYTES_MOST} bytes"
            raise ConfigError(
                Problem(code="RLY103", message=message, fix="no configuration is so long: name another file")
            )
        return content.decode()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigError(Problem(code="RLY103", message=message, fix="name a readable file")) from error
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(code="RLY103", message=f"{path} is not UTF-8 text")) from error


def write(path: Path, text: str, *, is_private: bool, force: bool) -> None:
    """Write a file at once, or not at all: readable by others only if it holds nothing that may be a secret.

    Raises:
        RelayError: it is there already and `force` was not given (exit 64), or cannot be written (71).
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = path.parent / Path(name).name
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _PRIVATE if is_private else _PUBLIC)
            file.write(text)
        if force:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # fails if the name is taken, even since a moment ago
    except FileExistsError as error:
        problem = Problem(code="RLY103", message=f"{path} is there already", fix="name another file, or give --force")
        raise RelayError(problem, exit_code=ExitCode.USAGE) from error
    except OSError as error:
        problem = Problem(
            code="RLY103", message=f"cannot write {path}: {error.strerror}", fix="name another file with -o"
        )
        raise RelayError(problem, exit_code=ExitCode.BIND_OR_STATE) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
