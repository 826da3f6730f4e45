from __future__ import annotations

import errno
import os
import pathlib

import pytest
import trio
import trio.testing
from netsky.envelope.limits import ATTACHMENT_BYTES_MAX
from netsky.node.blobs import store as store_module
from netsky.node.errors import Conflict, NotFound, Refused, TryLater, Usage
from netsky.node.seams.real_files import RealFiles

from tests.node.blobs.conftest import CHUNK, World, open_world, sha

DATA = os.urandom(3 * CHUNK + 7)


async def test_nobody_sees_a_blob_before_its_last_byte_is_here(world: World) -> None:
    assert await world.put(DATA, upto=3 * CHUNK) is False
    assert world.files == [f"parts/agent0-{sha(DATA).hex()}"]
    assert await world.rows("SELECT * FROM blobs") == []
    with pytest.raises(NotFound), world.store.reading(sha(DATA)):
        pass
    assert await world.put(DATA) is True
    name = sha(DATA).hex()
    assert world.files == [f"{name[:2]}/{name}"]
    assert world.file(DATA).read_bytes() == DATA
    assert await world.rows("SELECT size, source, state FROM blobs") == [(len(DATA), "agent0", "held")]
    assert await world.rows("SELECT * FROM blob_parts") == []


async def test_an_empty_file_is_a_blob_too(world: World) -> None:
    assert await world.put(b"") is True
    with world.store.reading(sha(b"")) as chunk:
        assert chunk(0, 10) == b""


async def test_wrong_bytes_are_refused_by_their_hash_and_nothing_of_them_stays(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await world.put(DATA, called=sha(b"something else"))
    assert refused.value.code == "attachment_hash"
    assert world.files == []
    assert await world.rows("SELECT * FROM blob_parts") == []


async def test_the_same_content_is_stored_once_and_not_asked_for_again(world: World) -> None:
    await world.put(DATA)
    assert await world.store.begin("agent1", sha(DATA), len(DATA)) is None
    with pytest.raises(Refused) as refused:
        await world.store.begin("agent1", sha(DATA), len(DATA) + 1)
    assert refused.value.code == "attachment_size"
    assert len(world.files) == 1


async def test_nobody_spoils_what_another_one_sends_under_the_same_hash(world: World) -> None:
    await world.put(DATA, "agent0", upto=CHUNK)
    with pytest.raises(Refused):
        await world.put(bytes(len(DATA)), "agent1", called=sha(DATA))
    assert await world.put(DATA, "agent0") is True


async def test_after_a_kill_it_goes_on_from_what_was_surely_on_disk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SETTLE_BYTES", 2 * CHUNK)
    async with open_world(tmp_path) as world:
        await world.put(DATA, upto=3 * CHUNK)
    with (tmp_path / "blobs/parts" / f"agent0-{sha(DATA).hex()}").open("r+b") as file:  # what a power cut may leave
        file.seek(2 * CHUNK)
        file.write(bytes(100))
    async with open_world(tmp_path) as world:
        assert await world.store.begin("agent0", sha(DATA), len(DATA)) == 2 * CHUNK
        assert await world.put(DATA) is True


async def test_a_sync_that_failed_meanwhile_is_no_sync_for_the_last_byte(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system tells of a failed write once: a second sync of the same bytes succeeds, and has written nothing."""
    await world.put(DATA, upto=3 * CHUNK)
    calls, really = iter(range(10)), world.store._files.settle

    async def fail_once(descriptor: int) -> None:
        if next(calls) == 0:
            await trio.testing.wait_all_tasks_blocked()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        await really(descriptor)

    async def sync() -> None:
        with pytest.raises(TryLater):
            await world.store.settle("agent0", sha(DATA))

    monkeypatch.setattr(world.store._files, "settle", fail_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sync)
        await trio.lowlevel.checkpoint()
        with pytest.raises(TryLater) as later:
            await world.store.append("agent0", sha(DATA), 3 * CHUNK, DATA[3 * CHUNK :])
    assert later.value.code == "disk_failed"
    assert await world.rows("SELECT * FROM blobs") == []
    assert await world.put(DATA) is True


async def test_only_the_next_byte_is_taken_and_none_behind_the_end(world: World) -> None:
    await world.put(DATA, upto=CHUNK)
    for offset, size in ((0, 1), (2 * CHUNK, 1), (CHUNK, len(DATA))):
        with pytest.raises(Conflict):
            await world.store.append("agent0", sha(DATA), offset, bytes(size))
    with pytest.raises(Conflict):
        await world.store.append("agent9", sha(DATA), 0, b"x")
    assert await world.put(DATA) is True


async def test_what_is_too_large_or_does_not_fit_on_the_disk_is_refused_before_its_first_byte(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path, floor=1 << 60) as world:
        with pytest.raises(TryLater) as later:
            await world.store.begin("agent0", sha(DATA), len(DATA))
        assert later.value.code == "disk_low"
        with pytest.raises(Usage):
            await world.store.begin("agent0", sha(DATA), ATTACHMENT_BYTES_MAX + 1)
    async with open_world(tmp_path) as world:
        monkeypatch.setattr(store_module, "ASIDE_BYTES_MAX", len(DATA) + 1)
        await world.put(DATA)
        with pytest.raises(TryLater) as later:
            await world.store.begin("agent0", sha(b"xy"), 2)
        assert later.value.code == "attachments_aside"
        assert await world.put(b"xy", "agent1") is True


async def test_a_damaged_file_is_found_out_and_a_link_is_not_followed(world: World) -> None:
    await world.put(DATA)
    assert await world.store.is_sound(sha(DATA), len(DATA))
    path = world.file(DATA)
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert not await world.store.is_sound(sha(DATA), len(DATA))
    path.unlink()
    assert not await world.store.is_sound(sha(DATA), len(DATA))
    path.symlink_to("/etc/hostname")
    with pytest.raises(NotFound), world.store.reading(sha(DATA)):
        pass


async def test_more_beginnings_than_may_be_open_are_closed_and_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "OPEN_MAX", 2)
    datas = [os.urandom(2 * CHUNK) for _ in range(5)]
    before = len(os.listdir("/proc/self/fd"))
    for data in datas:
        await world.put(data, upto=CHUNK)
    assert len(os.listdir("/proc/self/fd")) - before <= 2
    for data in datas:
        assert await world.put(data) is True


async def test_a_disk_that_fails_takes_back_what_is_not_surely_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SETTLE_BYTES", 2 * CHUNK)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await world.put(DATA, upto=3 * CHUNK)
    with monkeypatch.context() as failing:
        failing.setattr(RealFiles, "write_at", full)
        with pytest.raises(TryLater) as later:
            await world.put(DATA)
        assert later.value.code == "disk_failed"
    assert await world.store.begin("agent0", sha(DATA), len(DATA)) == 2 * CHUNK
    assert await world.put(DATA) is True


async def test_what_is_coming_counts_against_the_room_that_is_left(tmp_path: pathlib.Path) -> None:
    free = RealFiles().free_bytes(str(tmp_path))
    async with open_world(tmp_path, floor=free - (600 << 20)) as world:
        await world.store.begin("agent0", sha(b"first"), 500 << 20)
        with pytest.raises(TryLater):
            await world.store.begin("agent0", sha(b"second"), 500 << 20)


async def test_more_comes_while_it_is_synced_and_what_is_whole_by_then_leaves_no_beginning(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SETTLE_BYTES", CHUNK)
    reached, go_on = trio.Event(), trio.Event()
    settle = RealFiles.settle

    async def slow(files: RealFiles, descriptor: int) -> None:
        if not reached.is_set():
            reached.set()
            await go_on.wait()
        await settle(files, descriptor)

    monkeypatch.setattr(RealFiles, "settle", slow)
    before = len(os.listdir("/proc/self/fd"))
    await world.store.begin("agent0", sha(DATA), len(DATA))
    await world.store.append("agent0", sha(DATA), 0, DATA[:CHUNK])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.store.settle, "agent0", sha(DATA))
        await reached.wait()
        assert not world.store.settle_due("agent0", sha(DATA))
        assert await world.store.append("agent0", sha(DATA), CHUNK, DATA[CHUNK : 2 * CHUNK]) is False
        nursery.start_soon(world.store.append, "agent0", sha(DATA), 2 * CHUNK, DATA[2 * CHUNK :])
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    assert await world.rows("SELECT * FROM blob_parts") == []
    assert world.file(DATA).read_bytes() == DATA
    assert len(os.listdir("/proc/self/fd")) == before
