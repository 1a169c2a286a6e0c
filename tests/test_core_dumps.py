"""Memory with a secret in it leaves no process as a core dump."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.relay import environment, relay_process


def test_supervisor_and_worker_leave_no_core_dump(tmp_path):
    with relay_process(environment("http://127.0.0.1:9", tmp_path / "state"), tmp_path / "log") as relay:
        assert relay.worker_pid != relay.process.pid
        for pid in (relay.process.pid, relay.worker_pid):
            process = Path(f"/proc/{pid}")
            [limit] = [line.split() for line in (process / "limits").read_text().splitlines() if "core file" in line]
            assert limit[4:6] == ["0", "0"], "soft and hard"
            assert int((process / "coredump_filter").read_text(), 16) == 0, "of one that goes to a program"
            assert (process / "environ").read_bytes(), "commands of the same user find what runs"
    assert json.loads((tmp_path / "log").read_text().splitlines()[0])
