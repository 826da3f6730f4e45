"""A simulated disk: what a loss of power leaves of files and databases, and what full, slow and failing disks do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.file import read_file
from netsky.node.db.limits import SLOW_COMMIT_NS
from netsky.node.lab.disk import Disk
from netsky.node.lab.interpose import Killed
from netsky.node.lab.machine import Down, Machine
from netsky.node.lab.mesh import Mesh, open_mesh
from netsky.node.lab.virtual import SeededChance, VirtualTime
from netsky.node.seams.ledger import Ledger, LedgerBroken, LedgerFull, Statement
from netsky.node.supervise import find_fatal


class Loses:
    """The chance by which all goes that can go; or, with 0, nothing."""

    def __init__(self, fraction: float = 0.4) -> None:
        self._fraction = fraction

    def fraction(self) -> float:
        return self._fraction

    def token(self, size: int) -> bytes:
        return bytes(size)


class Place:
    """One open folder of a disk."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk, self.files = path, disk, disk.files
        disk.files.make_folder(str(path))
        self.folder = disk.files.open_folder(str(path))

    def read(self, name: str) -> bytes | None:
        path = self.path / name
        return path.read_bytes() if path.exists() else None

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path))

    def under(self, name: str) -> int:
        self.files.make_folder(name, under=self.folder)
        return self.files.open_folder(name, self.folder)


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home", Disk(Loses(), VirtualTime()))


# Names and bytes.


async def test_a_new_file_is_lost_until_its_folder_is_synced_and_its_bytes_are_never_promised(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"one", sync=False)
    assert place.disk.power_cut() == 2  # its name and its bytes
    assert place.names() == []
    files.write_new(folder, "one", b"one", sync=False)
    files.sync_folder(folder)
    assert place.disk.power_cut() == 1
    assert place.read("one") == b""


async def test_a_new_file_that_is_written_with_a_sync_is_there_and_so_is_all_before_it(place: Place) -> None:
    place.files.write_new(place.folder, "one", b"1", sync=False)
    place.files.write_new(place.folder, "two", b"2", sync=True)
    place.disk.power_cut()
    assert (place.read("one"), place.read("two")) == (b"", b"2")


async def test_what_is_replaced_stays_replaced(place: Place) -> None:
    place.files.replace(place.folder, "one", b"old")
    place.files.replace(place.folder, "one", b"new")
    assert place.disk.power_cut() == 0
    assert place.read("one") == b"new"


async def test_what_is_appended_is_lost_and_what_was_there_is_not(place: Place) -> None:
    place.files.write_new(place.folder, "log", b"old", sync=True)
    place.files.append(place.folder, "log", b" new")
    place.files.append(place.folder, "log", b" newer")
    assert place.read("log") == b"old new newer"
    place.disk.power_cut()
    assert place.read("log") == b"old"
    place.files.append(place.folder, "fresh", b"x")
    place.disk.power_cut()
    assert place.names() == ["log"]


async def test_a_move_that_was_not_synced_is_undone_with_what_it_displaced(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=True)
    files.write_new(folder, "two", b"2", sync=True)
    assert files.move(folder, "one", folder, "two")
    assert place.names() == ["two"]
    assert place.disk.power_cut() == 1
    assert (place.read("one"), place.read("two")) == (b"1", b"2")
    assert not files.move(folder, "three", folder, "two")


@pytest.mark.parametrize("which", ["source", "target"])
async def test_a_move_is_durable_once_either_of_its_folders_was_synced(place: Place, which: str) -> None:
    files, folder = place.files, place.folder
    to = place.under("archive")
    files.write_new(folder, "one", b"1", sync=False)
    files.move(folder, "one", to, "one")
    files.sync_folder(folder if which == "source" else to)
    place.disk.power_cut()
    assert place.names() == ["archive"]
    assert place.read("archive/one") == b""  # nobody synced its bytes, which came along


async def test_a_file_is_never_under_two_names_or_none(tmp_path: Path) -> None:
    seen = set()
    for seed in range(60):
        place = Place(tmp_path / str(seed), Disk(SeededChance(seed), VirtualTime()))
        to, last = place.under("b"), place.under("c")
        place.files.write_new(place.folder, "one", b"1", sync=True)
        place.files.move(place.folder, "one", to, "one")
        place.files.move(to, "one", last, "one")
        place.disk.power_cut()
        [found] = [at for at in ("one", "b/one", "c/one") if place.read(at) == b"1"]
        seen.add(found)
    assert seen == {"one", "b/one", "c/one"}


async def test_what_was_removed_comes_back_until_its_folder_is_synced(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=True)
    assert files.remove(folder, "one")
    assert not files.remove(folder, "one")
    assert place.names() == []
    place.disk.power_cut()
    assert place.read("one") == b"1"
    assert os.stat(place.path / "one").st_nlink == 1  # or whoever reads it would refuse it
    files.remove(folder, "one")
    files.sync_folder(folder)
    place.disk.power_cut()
    assert place.names() == []


async def test_a_removed_folder_comes_back_and_a_new_one_stays(place: Place) -> None:
    place.under("a")
    assert place.disk.power_cut() == 0
    assert place.names() == ["a"]
    assert place.files.remove_folder(place.folder, "a")
    place.disk.power_cut()
    assert place.names() == ["a"]


async def test_what_is_synced_in_a_folder_that_moved_is_found_there(place: Place) -> None:
    inside = place.under("a")
    place.files.write_new(inside, "one", b"1", sync=False)
    place.files.move(place.folder, "a", place.folder, "b")
    place.files.sync_folder(place.folder)
    assert place.disk.power_cut() == 2
    assert os.listdir(place.path / "b") == []


async def test_of_a_part_only_what_was_settled_is_there(place: Place) -> None:
    files = place.files
    part = files.open_part(place.folder, "part")
    files.sync_folder(place.folder)
    files.write_at(part, 0, b"settled")
    await files.settle(part)
    files.write_at(part, 0, b"SETTLED, and more")
    place.disk.power_cut()
    assert place.read("part") == b"settled"


async def test_what_was_cut_off_a_part_is_there_again(place: Place) -> None:
    files = place.files
    part = files.open_part(place.folder, "part")
    files.sync_folder(place.folder)
    files.write_at(part, 0, b"0123456789")
    await files.settle(part)
    files.cut(part, 4)
    files.write_at(part, 4, b"abc")
    assert place.read("part") == b"0123abc"
    place.disk.power_cut()
    assert place.read("part") == b"0123456789"


async def test_bytes_written_while_a_sync_is_under_way_are_not_its_bytes(place: Place, jumping_clock: object) -> None:
    del jumping_clock
    files, place.disk.sync_seconds = place.files, 2.0
    part = files.open_part(place.folder, "part")
    files.sync_folder(place.folder)
    files.write_at(part, 0, b"before ")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(files.settle, part)
        await trio.sleep(1)
        files.write_at(part, 7, b"meanwhile")
    place.disk.power_cut()
    assert place.read("part") == b"before "


async def test_of_what_was_not_synced_a_part_survives_in_its_order(tmp_path: Path) -> None:
    seen = set()
    for seed in range(80):
        place = Place(tmp_path / str(seed), Disk(SeededChance(seed), VirtualTime()))
        for name in "abc":
            place.files.write_new(place.folder, name, name.encode() * 9, sync=False)
        lost = place.disk.power_cut()
        names = "".join(place.names())
        assert names in {"", "a", "ab", "abc"}
        assert lost >= 3 - len(names)
        seen |= {
            names,
            *(b"0" if data == bytes(9) else data for name in names if (data := place.read(name)) is not None),
        }
    assert {"", "a", "ab", "abc", b"", b"a" * 9} <= seen
    assert any(isinstance(one, bytes) and 0 < len(one) < 9 and one.strip(b"a") == b"" for one in seen)  # torn
    assert any(
        isinstance(one, bytes) and one.startswith(b"a") and one.endswith(b"\0") for one in seen
    )  # no bytes, but a size


async def test_half_a_minute_makes_durable_what_nobody_synced(place: Place, jumping_clock: object) -> None:
    del jumping_clock
    files, folder = place.files, place.folder
    files.write_new(folder, "old", b"old", sync=False)
    files.append(folder, "log", b"old")
    await trio.sleep(31)
    files.append(folder, "log", b"new")
    files.write_new(folder, "new", b"new", sync=False)
    place.disk.power_cut()
    assert (place.names(), place.read("old"), place.read("log")) == (["log", "old"], b"old", b"old")


async def test_the_journal_holds_no_more_than_the_changes_of_some_forty_seconds(
    place: Place, jumping_clock: object
) -> None:
    del jumping_clock
    for number in range(300):
        place.files.write_new(place.folder, f"{number}", b"x", sync=False)
        place.files.append(place.folder, "log", b"x" * 100)
        place.files.remove(place.folder, f"{number}")
        await trio.sleep(1)
    folder = place.files.journal.folders[str(place.path)]
    hidden = place.path.parent / ".home.unsynced"
    assert len(folder.changes) <= 82
    assert len(os.listdir(hidden)) <= 41
    assert list(folder.loose) == ["log"]
    assert len(folder.loose["log"].marks) <= 41


async def test_what_others_did_with_plain_calls_stays(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=False)
    files.write_new(folder, "two", b"2", sync=False)
    os.rename(place.path / "one", place.path / "elsewhere")
    os.unlink(place.path / "two")
    place.disk.power_cut()
    assert place.names() == ["elsewhere"]


# A sync that fails.


async def test_a_name_whose_sync_failed_is_lost_though_a_later_sync_succeeds(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=False)
    place.disk.fail_syncs = 1
    with pytest.raises(OSError, match="Input/output"):
        files.sync_folder(folder)
    files.write_new(folder, "two", b"2", sync=False)
    files.sync_folder(folder)
    place.disk.power_cut()
    assert place.names() == ["two"]


async def test_a_name_that_is_written_anew_is_durable_again(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=False)
    place.disk.fail_syncs = 1
    with pytest.raises(OSError, match="Input/output"):
        files.sync_folder(folder)
    files.replace(folder, "one", b"one")
    place.disk.power_cut()
    assert place.read("one") == b"one"


@pytest.mark.parametrize("which", [1, 2])
async def test_a_write_whose_sync_fails_raises_and_leaves_nothing_sure(
    place: Place, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync is that of the file, the second that of the folder."""
    syncs = iter(range(1, 100))
    monkeypatch.setattr(place.disk, "sync_fails", lambda: next(syncs) == which)
    with pytest.raises(OSError, match="Input/output"):
        place.files.write_new(place.folder, "one", b"1", sync=True)
    assert (place.names() == ["one"]) is (which == 2)
    place.files.sync_folder(place.folder)
    place.disk.power_cut()
    assert place.names() == []


@pytest.mark.parametrize("which", [1, 2])
async def test_a_replacement_whose_sync_fails_raises_and_may_be_the_old_file_again(
    place: Place, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.files.replace(place.folder, "one", b"old")
    syncs = iter(range(1, 100))
    monkeypatch.setattr(place.disk, "sync_fails", lambda: next(syncs) == which)
    with pytest.raises(OSError, match="Input/output"):
        place.files.replace(place.folder, "one", b"new")
    assert place.read("one") == (b"old" if which == 1 else b"new")
    place.files.sync_folder(place.folder)
    place.disk.power_cut()
    assert place.read("one") == b"old"
    assert place.names() == ["one"]


async def test_bytes_whose_sync_failed_are_lost_though_a_later_sync_succeeds(place: Place) -> None:
    files = place.files
    part = files.open_part(place.folder, "part")
    files.sync_folder(place.folder)
    files.write_at(part, 0, b"one ")
    await files.settle(part)
    files.write_at(part, 4, b"two ")
    place.disk.fail_syncs = 1
    with pytest.raises(OSError, match="Input/output"):
        await files.settle(part)
    files.write_at(part, 8, b"three")
    await files.settle(part)
    assert place.read("part") == b"one two three"
    place.disk.power_cut()
    assert place.read("part") == b"one " + bytes(4) + b"three"


async def test_bytes_that_are_written_anew_are_durable_again(place: Place) -> None:
    files = place.files
    part = files.open_part(place.folder, "part")
    files.sync_folder(place.folder)
    files.write_at(part, 0, b"lost")
    place.disk.fail_syncs = 1
    with pytest.raises(OSError, match="Input/output"):
        await files.settle(part)
    files.cut(part, 0)
    files.write_at(part, 0, b"anew")
    await files.settle(part)
    place.disk.power_cut()
    assert place.read("part") == b"anew"


# A full disk.


async def test_a_full_disk_takes_nothing_new_and_heals(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=True)
    part = files.open_part(folder, "part")
    place.disk.full = True
    assert files.free_bytes(str(place.path)) == 0
    refused: list[Callable[[], object]] = [
        lambda: files.write_new(folder, "two", b"2", sync=False),
        lambda: files.replace(folder, "one", b"2"),
        lambda: files.append(folder, "one", b"0123456789"),
        lambda: files.append(folder, "log", b"x"),
        lambda: files.write_at(part, 0, b"0123456789"),
        lambda: files.make_folder("a", under=folder),
        lambda: files.open_part(folder, "other"),
    ]
    for call in refused:
        with pytest.raises(OSError, match="No space left"):
            call()
    assert place.read("one") == b"10123"  # what fits into the last page
    assert place.read("part") == b"0123"
    assert files.move(folder, "one", folder, "moved")
    assert files.remove(folder, "part")
    place.disk.full = False
    assert files.write_new(folder, "two", b"2", sync=True)
    assert files.free_bytes(str(place.path)) > 0


async def test_a_disk_without_entries_takes_no_new_name_and_all_else(place: Place) -> None:
    files, folder = place.files, place.folder
    files.write_new(folder, "one", b"1", sync=True)
    part = files.open_part(folder, "part")
    place.disk.no_files = True
    refused: list[Callable[[], object]] = [
        lambda: files.write_new(folder, "two", b"2", sync=False),
        lambda: files.replace(folder, "one", b"2"),
        lambda: files.append(folder, "log", b"x"),
        lambda: files.make_folder("a", under=folder),
        lambda: files.open_part(folder, "other"),
    ]
    for call in refused:
        with pytest.raises(OSError, match="No space left"):
            call()
    files.append(folder, "one", b"2")
    files.write_at(part, 0, b"3")
    assert (place.read("one"), place.read("part"), place.read("log")) == (b"12", b"3", None)
    place.disk.no_files = False
    assert files.write_new(folder, "two", b"2", sync=True)


# Databases.


async def opened(disk: Disk, path: Path, level: str | None = None) -> Ledger:
    ledger = disk.ledger.open(str(path))
    await ledger.transaction([Statement("CREATE TABLE IF NOT EXISTS kept (number INTEGER PRIMARY KEY, filler BLOB)")])
    if level is not None:
        ledger._ledger._connection.execute(f"PRAGMA synchronous = {level}")  # type: ignore[attr-defined] # planted
    return ledger


def put(number: int) -> Statement:
    return Statement("INSERT INTO kept VALUES (?, zeroblob(3000))", (number,))


async def kept(ledger: Ledger) -> list[int]:
    [rows] = await ledger.transaction([Statement("SELECT number FROM kept ORDER BY number")])
    return [int(number) for (number,) in rows]  # type: ignore[arg-type]


async def is_sound(ledger: Ledger) -> bool:
    [rows] = await ledger.transaction([Statement("PRAGMA integrity_check")])
    return rows == [("ok",)]


async def test_full_keeps_every_committed_transaction_over_two_hundred_cuts(tmp_path: Path) -> None:
    disk = Disk(SeededChance(1), VirtualTime())
    path, count = tmp_path / "meta.db", 0
    for seed in range(200):
        ledger = await opened(disk, path)
        assert await kept(ledger) == list(range(count))
        for _ in range(seed % 12):
            await ledger.transaction([put(count)])
            count += 1
        assert disk.power_cut() == 0
    assert count > 1000
    assert await is_sound(await opened(disk, path))


async def test_normal_loses_committed_transactions_from_the_end_and_nothing_else(tmp_path: Path) -> None:
    disk = Disk(SeededChance(2), VirtualTime())
    path, lost, whole = tmp_path / "meta.db", 0, 0
    (await opened(disk, path)).close()
    for _ in range(40):
        ledger = await opened(disk, path, "NORMAL")
        there = await kept(ledger)
        count = len(there)
        assert there == list(range(count))
        assert await is_sound(ledger)
        for number in range(count, count + 7):
            await ledger.transaction([put(number)])
        told = disk.power_cut()
        after = await opened(disk, path, "NORMAL")
        assert len(await kept(after)) == count + 7 - told
        lost, whole = lost + told, whole + (told == 0)
    assert lost > 20
    assert whole


async def test_normal_keeps_what_a_checkpoint_wrote_back_also_through_a_crash_before_the_cut(tmp_path: Path) -> None:
    disk = Disk(Loses(), VirtualTime())
    path = tmp_path / "meta.db"
    ledger = await opened(disk, path, "NORMAL")
    number = 0
    while path.stat().st_size < 1 << 20:  # until the log was written back
        await ledger.transaction([put(number)])
        number += 1
    ledger = await opened(disk, path, "NORMAL")  # a crash: the system's memory is whole
    assert len(await kept(ledger)) == number
    assert disk.power_cut() <= 1
    ledger = await opened(disk, path)
    assert len(await kept(ledger)) >= number - 1
    assert await is_sound(ledger)


async def test_a_dead_lifes_connection_changes_nothing_of_the_next(tmp_path: Path) -> None:
    disk = Disk(SeededChance(3), VirtualTime())
    path = tmp_path / "meta.db"
    dead = await opened(disk, path)
    await dead.transaction([put(1)])
    inner = dead._ledger  # type: ignore[attr-defined]
    alive = await opened(disk, path)
    await alive.transaction([put(2)])
    with pytest.raises(LedgerBroken):
        await dead.transaction([put(3)])
    inner.close()
    dead.close()
    await alive.transaction([put(4)])
    assert await kept(alive) == [1, 2, 4]
    disk.power_cut()
    assert await kept(await opened(disk, path)) == [1, 2, 4]


async def test_a_ledger_that_was_closed_in_order_is_whole(tmp_path: Path) -> None:
    disk = Disk(Loses(), VirtualTime())
    path = tmp_path / "meta.db"
    ledger = await opened(disk, path, "NORMAL")
    await ledger.transaction([put(1)])
    ledger.close()
    assert disk.power_cut() == 0
    assert os.listdir(tmp_path) == ["meta.db"]
    assert await kept(await opened(disk, path)) == [1]


async def test_a_full_disk_refuses_what_writes_and_answers_what_reads(tmp_path: Path) -> None:
    disk = Disk(Loses(), VirtualTime())
    ledger = await opened(disk, tmp_path / "meta.db")
    disk.full = True
    with pytest.raises(LedgerFull):
        await ledger.transaction([put(1)])
    assert await kept(ledger) == []
    disk.full = False
    await ledger.transaction([put(1)])
    assert await kept(ledger) == [1]


async def test_a_slow_commit_takes_its_time_and_nobody_sees_it_before(tmp_path: Path, jumping_clock: object) -> None:
    del jumping_clock
    disk = Disk(Loses(), VirtualTime())
    ledger = await opened(disk, tmp_path / "meta.db")
    disk.sync_seconds = 3.0
    seen: list[tuple[float, list[int]]] = []
    began = trio.current_time()

    async def look() -> None:
        await trio.sleep(1)
        found = await kept(ledger)
        seen.append((trio.current_time() - began, found))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        nursery.start_soon(ledger.transaction, [put(1)])
    assert seen == [(3.0, [1])]


async def test_power_lost_while_a_commit_is_synced_may_lose_that_commit_alone(
    tmp_path: Path, jumping_clock: object
) -> None:
    del jumping_clock
    disk = Disk(SeededChance(5), VirtualTime())
    path, count, seen = tmp_path / "meta.db", 0, set()
    for _ in range(20):
        ledger = await opened(disk, path)
        assert await kept(ledger) == list(range(count))
        await ledger.transaction([put(count)])
        disk.sync_seconds = 3.0
        async with trio.open_nursery() as nursery:

            async def commit(ledger: Ledger = ledger, number: int = count + 1) -> None:
                with pytest.raises(Killed):
                    await ledger.transaction([put(number)])

            nursery.start_soon(commit)
            await trio.sleep(1)
            lost = disk.power_cut()
        disk.sync_seconds = 0.0
        seen.add(lost)
        count += 2 - lost
    assert seen == {0, 1}


async def test_after_a_failed_sync_the_ledger_is_broken_and_the_next_start_finds_all_or_nothing_of_it(
    tmp_path: Path,
) -> None:
    disk = Disk(SeededChance(7), VirtualTime())
    path, there, seen = tmp_path / "meta.db", 0, set()
    for _ in range(20):
        ledger = await opened(disk, path)
        disk.fail_syncs = 1
        with pytest.raises(LedgerBroken):
            await ledger.transaction([put(2 * there), put(2 * there + 1)])
        with pytest.raises(LedgerBroken):
            await ledger.transaction([Statement("SELECT 1")])
        found = len(await kept(await opened(disk, path)))
        assert found in {2 * there, 2 * there + 2}
        seen.add(found == 2 * there)
        there = found // 2
    assert seen == {True, False}


async def test_what_is_committed_after_a_start_is_durable_though_a_sync_had_failed_before_it(tmp_path: Path) -> None:
    """The system's memory still has the frames that never came to the disk: nothing may be written behind them."""
    holes = 0
    for seed in range(12):
        disk = Disk(SeededChance(seed), VirtualTime())
        path = tmp_path / f"{seed}.db"
        ledger = await opened(disk, path)
        await ledger.transaction([put(1)])
        disk.fail_syncs = 2
        with pytest.raises(LedgerBroken):
            await ledger.transaction([put(2)])
        ledger.close()  # its write-back fails as well
        assert disk.fail_syncs == 0
        again = await opened(disk, path)
        there = await kept(again)
        holes += there == [1, 2]
        await again.transaction([put(3)])
        disk.power_cut()
        assert await kept(await opened(disk, path)) == [*there, 3]
    assert holes


# Whole nodes.


@asynccontextmanager
async def mesh_on_disks(folder: Path, seed: int, siblings: int = 0) -> AsyncIterator[Mesh]:
    def prepare(mesh: Mesh) -> None:
        for machine in mesh.machines:
            machine.put_on(Disk(SeededChance(seed + machine.number), machine.time))

    async with open_mesh(folder, siblings, prepare=prepare, seed=seed) as mesh:
        yield mesh


async def lose_power(mesh: Mesh, machine: Machine, after: Callable[[Machine], None] = lambda _: None) -> int:
    await machine.crash()
    after(machine)
    assert machine.disk is not None
    lost = machine.disk.power_cut()
    await machine.start(mesh.nursery)
    return lost


async def send(machine: Machine, text: str, to: str = "agent1") -> str:
    sent = await machine.ask("send", to=to, text=text, **{"from": "agent0"})
    return str(sent["id"])


def texts(machine: Machine, actor: str) -> list[str]:
    """Of the files in its inbox, each of which is whole."""
    folder = Path(machine.home.channel(actor), "inbox")
    return sorted(read_file(path.read_bytes()).text for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("seed", range(6))
async def test_a_machine_that_loses_power_right_after_it_accepted_has_it_afterwards(
    tmp_path: Path, jumping_clock: object, seed: int
) -> None:
    del jumping_clock
    lost = 0
    async with mesh_on_disks(tmp_path, seed) as mesh:
        [root] = mesh.machines
        await root.ask("agent_add", actor="agent1", mode="none")
        for number in range(5):
            await send(root, f"{number}")
            await trio.sleep(0.05 * number)
            lost += await lose_power(mesh, root)
            assert texts(root, "agent1") == [f"{one}" for one in range(number + 1)]
    assert lost


async def test_a_full_disk_makes_send_answer_try_later_and_heals_without_a_restart(
    tmp_path: Path, jumping_clock: object
) -> None:
    del jumping_clock
    async with mesh_on_disks(tmp_path, 1) as mesh:
        [root] = mesh.machines
        assert root.disk is not None
        await root.ask("agent_add", actor="agent1", mode="none")
        root.disk.full = True
        for seconds in (0, 5, 100):
            await trio.sleep(seconds)
            error = await root.refusal("send", to="agent1", text="no", **{"from": "agent0"})
            assert error["code"] in {"disk_full", "disk_low"}
            assert error["exit"] == 8
        root.disk.full = False
        await trio.sleep(90)
        await send(root, "yes")
        await trio.sleep(1)
        assert (texts(root, "agent1"), root.lives) == (["yes"], 1)


async def test_a_sync_that_fails_stops_the_node_and_it_starts_again(tmp_path: Path, jumping_clock: object) -> None:
    del jumping_clock
    async with mesh_on_disks(tmp_path, 2) as mesh:
        [root] = mesh.machines
        assert root.disk is not None
        fallen: list[BaseException] = []
        root.service = fallen.append
        await root.ask("agent_add", actor="agent1", mode="none")
        await send(root, "before")
        root.disk.fail_syncs = 1
        answer = await answer_or_none(root, "lost or not")
        assert answer is None or not answer["ok"]
        while root.is_up:  # noqa: ASYNC110 - nothing rings when it has fallen
            await trio.sleep(0.1)
        assert find_fatal(fallen[0]) is not None
        await root.start(mesh.nursery)
        await send(root, "after")
        await trio.sleep(1)
        assert {"before", "after"} <= {*texts(root, "agent1")} <= {"before", "after", "lost or not"}


async def test_an_envelope_whose_file_could_not_be_synced_is_written_anew(
    tmp_path: Path, jumping_clock: object
) -> None:
    """The next life finds the file in the system's memory and syncs its folder: neither says that it is on disk."""
    del jumping_clock
    async with mesh_on_disks(tmp_path, 4) as mesh:
        [root] = mesh.machines
        assert root.disk is not None
        root.service = lambda _: None
        await root.ask("agent_add", actor="agent1", mode="none")
        await send(root, "synced")
        await send(root, "written")  # its folder is synced a tenth of a second later
        root.disk.fail_syncs = 1
        while root.is_up:  # noqa: ASYNC110 - nothing rings when it has fallen
            await trio.sleep(0.01)
        assert texts(root, "agent1") == ["synced", "written"]
        await root.start(mesh.nursery)
        await trio.sleep(1)
        await lose_power(mesh, root)
        assert texts(root, "agent1") == ["synced", "written"]


async def answer_or_none(machine: Machine, text: str) -> dict[str, Any] | None:
    try:
        return await machine.answer("send", to="agent1", text=text, **{"from": "agent0"})
    except Down:
        return None


async def test_a_slow_disk_is_marked_and_gives_no_credit_until_it_is_quick_again(
    tmp_path: Path, jumping_clock: object
) -> None:
    del jumping_clock
    async with mesh_on_disks(tmp_path, 3, siblings=1) as mesh:
        root, one = mesh.machines
        assert root.disk is not None
        root.disk.sync_seconds = 1.5 * SLOW_COMMIT_NS / 1e9
        await send(root, "slow", "agent0")
        assert "disk_slow" in await faults_of(root)
        await one.ask("send", drafts=[{"to": "agent0@netsky0", "from": "agent0", "text": "x"}] * 50)
        await trio.sleep(20)
        assert await granted_to(root) == {"work": 0, "reply": 1024}
        root.disk.sync_seconds = 0.0
        await trio.sleep(60)
        assert len(texts(root, "agent0")) == 51
        assert "disk_slow" not in await faults_of(root)
        assert (await granted_to(root))["work"] > 0


async def faults_of(machine: Machine) -> list[str]:
    return [fault["code"] for fault in (await machine.ask("status"))["faults"]]


async def granted_to(machine: Machine) -> dict[str, int]:
    """What its only peer may have on its way to it, of each lane."""
    [link] = (await machine.ask("status"))["links"]
    return {lane: granted["envelopes"] for lane, granted in link["granted"].items()}


async def test_a_copy_of_a_home_has_what_somebody_hostile_put_there_too(place: Place, tmp_path: Path) -> None:
    os.mkfifo(place.path / "evil.json")
    place.disk.copy(str(tmp_path / "copy"))
    place.disk.put_back(str(tmp_path / "copy"))
    assert (place.path / "evil.json").is_fifo()


async def test_a_home_that_is_put_back_may_keep_one_file_as_it_was(place: Place, tmp_path: Path) -> None:
    place.files.write_new(place.folder, "one", b"old", sync=True)
    place.files.write_new(place.folder, "lives", b"1", sync=True)
    place.disk.copy(str(tmp_path / "copy"))
    place.files.replace(place.folder, "one", b"new")
    place.files.replace(place.folder, "lives", b"2")
    place.disk.put_back(str(tmp_path / "copy"), keeps="lives")
    assert (place.read("one"), place.read("lives")) == (b"old", b"2")
