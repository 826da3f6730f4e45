"""Rows become files; what cannot become one now becomes one later."""

from __future__ import annotations

import errno
import itertools
import os
import pathlib
from typing import Any

import pytest
import trio
from netsky.node.bus.draft import Draft
from netsky.node.bus.limits import FRESH_BYTES_MAX, PROJECT_FILES
from netsky.node.db import arrivals, inbox
from netsky.node.lab.virtual import VirtualTime
from netsky.node.seams.ledger import LedgerBroken
from netsky.node.seams.real_files import RealFiles
from trio.testing import wait_all_tasks_blocked

from tests.node.bus.conftest import World, open_world


class Failing(RealFiles):
    """Files whose writes into an inbox fail with this error number while it is set."""

    error: int | None = None
    after = 0

    def write_new(self, folder: int, name: str, data: bytes, **more: Any) -> bool:
        if self.error is not None:
            if self.after <= 0:
                raise OSError(self.error, os.strerror(self.error))
            self.after -= 1
        return super().write_new(folder, name, data, **more)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EMFILE, errno.EACCES])
async def test_what_cannot_be_written_now_stays_committed_and_is_written_later(
    tmp_path: pathlib.Path, error: int
) -> None:
    files = Failing()
    async with open_world(tmp_path, files=files) as world:
        files.error, files.after = error, 3
        await world.bus.accept("owner", "operator", [Draft(to="agent0", text=str(n)) for n in range(10)])
        await world.project()
        assert len(world.names("agent0", "inbox")) == 3
        assert sorted(await world.states("agent0")) == ["committed"] * 7 + ["projected"] * 3
        assert world.bus.projector.fault is not None
        assert world.told.kinds() == ["projection_failed"]
        for _ in range(4):
            await world.bus.sweep.turn()
            await world.project()
        files.error = None
        for _ in range(20):
            await world.bus.sweep.turn()
            await world.project()
        assert await world.states("agent0") == ["projected"] * 10
        assert world.bus.projector.fault is None
        assert await world.drained() == [str(n) for n in range(10)]


async def test_tries_after_failures_become_rarer(tmp_path: pathlib.Path) -> None:
    files = Failing()
    async with open_world(tmp_path, files=files) as world:
        await world.send()
        files.error = errno.ENOSPC
        tries = 0
        for _ in range(60):
            before = world.bus.projector._pass
            await world.bus.sweep.turn()
            tries += world.bus.projector._pass and not before
            await world.project()
        assert 4 <= tries <= 9


async def test_a_failing_disk_stops_the_node(tmp_path: pathlib.Path) -> None:
    files = Failing()
    async with open_world(tmp_path, files=files) as world:
        await world.send()
        files.error = errno.EIO
        with pytest.raises(LedgerBroken):
            await world.project()


async def test_what_memory_does_not_hold_is_read_back(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        drafts = [Draft(to="agent0", text="x" * 40_000)] * 100
        for _ in range(5):
            await world.bus.accept("owner", "operator", drafts)
        assert world.bus.projector._fresh_bytes <= FRESH_BYTES_MAX
        assert world.bus.projector._pass
        await world.project()
        assert len(world.names("agent0", "inbox")) == 500
        assert await world.states("agent0") == ["projected"] * 500


@pytest.mark.parametrize("place", ["inbox", "claimed", "archive", "processed"])
async def test_a_file_that_stands_anywhere_is_not_written_again(tmp_path: pathlib.Path, place: str) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send()
        await world.project()
        world.folder("agent0", "processed").mkdir()
        source = world.folder("agent0", "inbox") / str(accepted.file)
        os.rename(source, world.folder("agent0", place) / str(accepted.file))
        [found] = await world.group.write([arrivals.places_of_files("agent0", [str(accepted.file)])])
        await world.rows(arrivals.write_again([place.seq for place in arrivals.place_rows(found)]))
        world.bus.projector.reload()
        await world.project()
        folders = ("inbox", "claimed", "archive", "processed")
        assert [name for name in folders if world.names("agent0", name)] == [place]
        assert await world.states("agent0") == ["projected"]


async def test_a_row_that_was_taken_is_never_projected(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send()
        await world.rows(inbox.take_files("agent0", [str(accepted.file)], 1, "ack"))
    async with open_world(tmp_path) as world:
        await world.project()
        world.bus.channel("agent0").close()
        assert world.names("agent0", "inbox") == []
        assert await world.state("agent0", accepted.file) == "taken"


async def test_the_file_says_what_was_sealed(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        text = 'tricky "text"\nwith \u202e things'
        accepted = await world.send(text=text, data={"z": 1, "a": [2]}, requires_ack=True)
        await world.project()
        with world.drain(asks=False) as drain:
            [item] = drain.envelopes()
        envelope = item.envelope
        assert envelope.proof is not None
        assert (envelope.proof.origin, envelope.proof.id) == (accepted.origin, accepted.id)
        assert envelope.proof.leaf == accepted.leaf
        assert envelope.text == text
        assert envelope.data == b'{"a":[2],"z":1}'
        assert envelope.requires_ack


async def test_a_row_is_marked_only_after_its_folder_was_synced(tmp_path: pathlib.Path) -> None:
    order: list[str] = []

    class Watched(RealFiles):
        def write_new(self, folder: int, name: str, data: bytes, **more: Any) -> bool:
            order.append("write")
            return super().write_new(folder, name, data, **more)

        def sync_folder(self, folder: int) -> None:
            order.append("sync")
            super().sync_folder(folder)

    async with open_world(tmp_path, files=Watched()) as world:
        await world.bus.accept("owner", "operator", [Draft(to="agent0", text="x")] * 2)
        transaction = world.ledger.transaction

        async def watched(statements: Any) -> Any:
            order.extend("mark" for statement in statements if "'projected'" in statement.sql)
            return await transaction(statements)

        world.ledger.transaction = watched  # type: ignore[method-assign]
        await world.project()
    assert order == ["write", "write", "sync", "mark"]


async def test_what_the_projector_had_in_hand_when_it_crashed_is_written_by_its_next_life(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await world.send()

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("netsky.node.bus.project.write_file", broken)
        with pytest.raises(ZeroDivisionError):
            await world.bus.projector.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.bus.projector.run)
        with trio.fail_after(20):
            while await world.state("agent0", sent.file) != "projected":
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert world.names("agent0", "inbox") == [sent.file]


async def test_a_folder_is_synced_ten_times_a_second_at_most_and_its_files_are_told_of_before(
    tmp_path: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    synced: list[float] = []
    states: list[str | None] = []

    class Watched(RealFiles):
        def sync_folder(self, folder: int) -> None:
            synced.append(trio.current_time())
            super().sync_folder(folder)

    async with open_world(tmp_path, files=Watched()) as world:
        world.bus.projector._time = VirtualTime()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.bus.projector.run)
            for _ in range(30):
                sent = await world.send()
                await trio.sleep(0.02)
                assert sent.file in world.names("agent0", "inbox")
                states.append(await world.state("agent0", sent.file))
            assert len(world.told.arrivals) >= 30
            assert states.count("committed") > 20
            await world.rows(inbox.take_files("agent0", [str(sent.file)], 1, "ack"))
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert len(synced) == 7
        assert min(b - a for a, b in itertools.pairwise(synced)) >= 0.0999
        assert await world.states("agent0") == ["projected"] * 29
        assert await world.state("agent0", sent.file) == "taken"


async def test_files_are_told_of_at_once_and_marked_together(
    tmp_path: pathlib.Path, mock_clock: trio.testing.MockClock
) -> None:
    """The clock stands still: the mark goes with other work or not at all."""
    count = 2 * PROJECT_FILES + 1
    async with open_world(tmp_path) as world:
        for _ in range(count):
            await world.send()
        commits = world.group.statistics().commits
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.project)
            await wait_all_tasks_blocked()
            assert len(world.names("agent0", "inbox")) == count
            assert world.told.arrivals == ["agent0"] * 3
            assert world.group.statistics().commits == commits
            assert await world.states("agent0") == ["projected"] * count  # asking is such other work
        assert world.group.statistics().commits == commits + 1
