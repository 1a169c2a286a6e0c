"""What a stop leaves to the next start and what it counts: real parts in virtual time, on a disk that fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.failing_disk import FailingDisk, installed
from tests.support.virtual_loop import LoopClock, VirtualLoop
from tests.support.virtual_relay import SECONDS, RecordingCloud, VirtualRelay

WALL = 1_764_000_003.0
CHECKPOINT = 1.3


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


class House:
    """State: a directory on a disk, the cloud, and the relay that runs."""

    def __init__(self, loop: VirtualLoop, state) -> None:
        self.loop, self.state = loop, state
        self.clock, self.cloud, self.disk = LoopClock(loop, WALL), RecordingCloud(WALL), FailingDisk()

    async def start(self) -> None:
        self.life = await VirtualRelay(self.state, clock=self.clock, cloud=self.cloud, to_cloud=False).start()

    async def edge(self) -> None:
        await asyncio.sleep(SECONDS - self.clock.wall() % SECONDS + 0.5)

    async def end(self):
        await self.life.stop()
        books = self.life.relay.status.books()
        assert books.imbalance() == 0
        return books


@pytest.fixture
def house(loop, tmp_path):
    house = House(loop, tmp_path / "state")
    with installed(house.disk):
        yield house


async def two_windows(house) -> None:
    """Start and let a window pass, so that one is recorded."""
    await house.start()
    await house.edge()
    house.life.feed(b"ca:1|c")
    await house.edge()


@pytest.mark.parametrize("moment", ["closed", "open"])
def test_a_stop_counts_what_the_disk_lacks_of_a_waiting_window(house, loop, moment):
    """The next start sends the part on disk. That and the counted rest are all that was received."""

    async def live() -> None:
        await two_windows(house)
        house.life.feed(*[b"ca:1|c"] * 3, b"cb:1|c")
        await asyncio.sleep(CHECKPOINT)
        house.disk.become("refuse")
        house.life.feed(*[b"ca:1|c"] * 2, b"cc:1|c")
        if moment == "closed":
            await house.edge()
        books = await house.end()
        assert books.samples_dropped == {"stop_without_state": 3}
        assert not books.dropped
        assert books.samples_open == 4, "they wait on the disk"
        house.disk.become("well")
        await house.start()
        await house.edge()
        await asyncio.sleep(SECONDS)
        await house.end()
        assert house.cloud.totals() == {"ca": 4, "cb": 1}
        assert not house.cloud.conflicts()

    loop.run_until_complete(live())


def test_a_stop_does_not_count_deleted_series(house, loop):
    """Deleted samples were counted at the deletion, which the part on disk records."""

    async def live() -> None:
        await two_windows(house)
        house.life.feed(*[b"ca:1|c"] * 3, b"cb:1|c")
        await asyncio.sleep(CHECKPOINT)
        hotpath = house.life.relay.hotpath
        house.life.relay.status.delete([one for one in hotpath.list_series(0, 99) if one.metric == "ca"])
        await asyncio.sleep(CHECKPOINT)
        house.disk.become("refuse")
        house.life.feed(b"cb:1|c")
        await house.edge()
        books = await house.end()
        assert books.samples_dropped == {"forgotten": 3, "stop_without_state": 1}

    loop.run_until_complete(live())


def test_a_stop_counts_all_of_a_window_that_is_not_on_disk(house, loop):
    async def live() -> None:
        await two_windows(house)
        house.disk.become("refuse")
        house.cloud.is_down = True
        await house.edge()
        house.life.feed(b"cb:1|c")
        await house.edge()
        books = await house.end()
        assert books.dropped["stop_without_state"] >= 1
        assert not books.samples_dropped

    loop.run_until_complete(live())
