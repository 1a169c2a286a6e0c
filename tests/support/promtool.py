"""promtool, Prometheus' own checker: on the PATH, or in .clients/prometheus, where .ci/run puts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.tools import missing

PLACE = Path(__file__).parents[2] / ".clients/prometheus/usr/bin/promtool"


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Run promtool and return what it prints; fail if it finds anything wrong. `text` is its standard input."""
    found = shutil.which("promtool") or (PLACE if PLACE.exists() else None)
    if found is None:
        missing("PROMTOOL", "promtool is not installed (apt-get download prometheus; dpkg -x into .clients/prometheus)")
    done = subprocess.run([found, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return printed
