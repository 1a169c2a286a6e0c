"""The kernel alone, without Python: under sanitizers, on another architecture, and without leaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors/lines.jsonl"
REASONS = ("empty_name", "no_value", "bad_value", "bad_type", "bad_rate", "bad_timestamp", "bad_event")
ASAN = ("gcc", "-fsanitize=address,undefined", "-DREPLAY")

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("RELAY_WITHOUT_NATIVE")), reason="RELAY_WITHOUT_NATIVE is set: the kernel is not tested"
)


def build(directory: Path, *programs: str, by: tuple[str, ...]) -> Path:
    """Build programs with one kernel; return their directory."""
    subprocess.run(["bash", HERE / "build", directory, *programs, "--", *by], check=True)
    return directory


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory) -> Path:
    """Return the programs, built with ASan and UBSan."""
    programs = ("fuzz_hotpath", "fuzz_restore", "race_readers", "check_vectors")
    return build(tmp_path_factory.mktemp("sanitized"), *programs, by=ASAN)


def run(*command: object, **settings) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_corpus_breaks_anything_under_address_and_undefined_sanitizer(sanitized):
    for target, folder in (("fuzz_hotpath", "corpus"), ("fuzz_restore", "corpus_restore")):
        corpus = sorted((HERE / folder).iterdir())
        assert run(sanitized / target, *corpus) == f"{len(corpus)} inputs replayed\n"


def test_readers_race_for_nothing_under_address_and_undefined_sanitizer(sanitized):
    assert "datagrams" in run(sanitized / "race_readers")


def test_readers_race_for_nothing_under_thread_sanitizer(tmp_path):
    built = build(tmp_path, "race_readers", by=("gcc", "-fsanitize=thread"))
    assert "datagrams" in run(built / "race_readers")


def vectors() -> str:
    rows = []
    for row in map(json.loads, VECTORS.read_text().splitlines()):
        reason = REASONS.index(row["reason"]) if row["outcome"] == "rejected" else -1
        rows.append(f"{row['outcome']} {reason} {row['line'].encode('latin-1').hex()}\n")
    return "".join(rows)


def test_vectors_hold_without_python(sanitized):
    assert run(sanitized / "check_vectors", input=vectors()).endswith(" 0 wrong\n")


def test_vectors_hold_on_arm64(tmp_path):
    compiler, emulator = "aarch64-linux-gnu-gcc", shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not (shutil.which(compiler) and emulator):
        assert not os.environ.get("RELAY_EXPECT_ARM64"), "arm64 is expected, but a compiler or qemu-user is missing"
        pytest.skip("no arm64 compiler or no qemu-user")
    built = build(tmp_path, "check_vectors", by=(compiler, "-static"))
    assert run(emulator, built / "check_vectors", input=vectors()).endswith(" 0 wrong\n")


LEAK = """
import gc, resource
from relay.hotpath.tap import TapFilter
from tests.support.hotpath import NOW, START, close, exported, make, name_all

def live(number):
    hotpath = make("native", series_limit=200)
    hotpath.open_tap(TapFilter(pattern=b"m1*", rate=500.0))
    for window in range(1, 4):
        hotpath.feed(b"\\n".join(b"m%d.%d:%d|%b|#a:%d" % (n, number, n, kind, n % 7)
                     for n in range(300) for kind in (b"c", b"g", b"ms", b"s")), NOW)
        name_all(hotpath)
        partial = exported(hotpath) + b"".join(hotpath.export_gauges())
        list(hotpath.snapshot()), list(hotpath.gauges())
        hotpath.rejects(), hotpath.senders(), hotpath.tally()
        close(hotpath, START + 60 * window)
    make("native").merge(partial)
    hotpath.feed(b"waiting:1|c\\ng:+1|g", NOW)

def peak():
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for number in range(15):
    live(number)
before = peak()
for number in range(60):
    live(number)
print(peak() - before)
"""


def test_a_hot_path_gives_back_what_it_took():
    grown = int(run(sys.executable, "-c", LEAK, cwd=HERE.parents[1]))
    assert grown < 3_000, f"{grown} KiB after 60 hot paths that each held more than that"
