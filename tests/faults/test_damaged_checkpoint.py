"""Row 11: the checkpoint of the open window is cut, flipped or padded; links and foreign files lie beside it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.state import LONG_WINDOW, checkpointed, recorded

SERIES = 600
TIMES = 3

DAMAGES = {
    "its end is cut off": lambda stored: stored[: len(stored) * 2 // 3 - 7],
    "a byte is flipped": lambda stored: stored[:99] + bytes([stored[99] ^ 0xFF]) + stored[100:],
    "its tail is zeros": lambda stored: stored[: len(stored) // 2] + bytes(len(stored) // 2),
    "it is of another version": lambda stored: stored.replace(b"SRP1", b"SRP9"),
    "it is empty": lambda _: b"",
}

FAST = ("its end is cut off", "a byte is flipped")


async def killed_with_a_checkpoint(relay, state) -> None:
    """Feed every series several times, wait each time for a checkpoint, and kill the relay."""
    for number in range(1, TIMES + 1):
        relay.send(*(b"\n".join(b"m%d:1|c" % n for n in range(start, start + 30)) for start in range(0, SERIES, 30)))
        await relay.wait_for(relay_accepted_lines_total=SERIES * number)
        await checkpointed(state, SERIES * number)
    await asyncio.to_thread(relay.kill)
    assert list(state.glob("checkpoint-*.srp"))


@pytest.mark.parametrize("how", [how if how in FAST else pytest.param(how, marks=pytest.mark.full) for how in DAMAGES])
async def test_row_11_damaged_checkpoint(how, start, emulator, figure, tmp_path):
    state = tmp_path / "state"
    recorded(state)
    relay = start(WINDOW_SECONDS=str(LONG_WINDOW), WINDOW_CHECKPOINT="100ms")
    await killed_with_a_checkpoint(relay, state)
    [checkpoint] = state.glob("checkpoint-*.srp")
    stored = DAMAGES[how](checkpoint.read_bytes())
    checkpoint.write_bytes(stored)
    await asyncio.to_thread(relay.start)
    recovered = (await relay.wait_for())['relay_samples{state="open"}']
    relay.send(b"m0:1|c")
    await relay.wait_for(relay_accepted_lines_total=1)
    assert await relay.stop() == 0
    totals = [emulator.total(f"m{n}") for n in range(SERIES)]
    assert max(totals) <= TIMES + 1
    # An empty file marks its window as committed: the sample is of the next window, and waits for its time.
    assert sum(totals) == (recovered + 1 if stored else 0)
    assert sum(path.stat().st_size > 0 for path in state.glob("checkpoint-*.srp")) == (not stored)
    assert emulator.duplicates() == []
    kept = [path.read_bytes() for path in state.glob("checkpoint-*.damaged-*")]
    assert kept == ([stored] if stored else [])
    assert ("RLY412" in relay.text()) == bool(stored)
    figure(11, f"{how}: {recovered:.0f} of {SERIES * TIMES} samples recovered, none invented")


async def test_row_11_links_and_foreign_files(start, emulator, figure, tmp_path):
    state = tmp_path / "state"
    recorded(state)
    relay = start(WINDOW_SECONDS=str(LONG_WINDOW), WINDOW_CHECKPOINT="100ms")
    await killed_with_a_checkpoint(relay, state)
    precious = tmp_path / "precious"
    precious.write_bytes(b"untouched")
    [checkpoint] = state.glob("checkpoint-*.srp")
    window = int(checkpoint.stem.removeprefix("checkpoint-"))
    link = state / f"checkpoint-{window + LONG_WINDOW}.srp"
    link.symlink_to(precious)
    (state / "checkpoint-x.srp").write_bytes(b"foreign")
    (state / "notes.txt").write_bytes(b"foreign")
    with pytest.raises(AssertionError, match=r"RLY104 .*symbolic link"):
        await asyncio.to_thread(relay.start)
    link.unlink()
    await asyncio.to_thread(relay.start)
    recovered = (await relay.wait_for())['relay_samples{state="open"}']
    assert recovered == SERIES * TIMES
    assert await relay.stop() == 0
    assert precious.read_bytes() == b"untouched"
    assert {path.name for path in state.iterdir()} >= {"checkpoint-x.srp", "notes.txt"}
    assert sum(emulator.total(f"m{n}") for n in range(SERIES)) == SERIES * TIMES
    figure(
        11,
        f"a link: refused (RLY104); foreign files: left alone, {recovered:.0f} of {SERIES * TIMES} samples recovered",
    )
