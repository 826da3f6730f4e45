"""The disk alone: what it must keep, and what it may forget."""

from __future__ import annotations

import random

import pytest
from netsky.node.lab.pages.disk import EVERY_CALL, PAGE, SECTOR, Disk, File, Mood, PowerCut, SyncFailed, any_mood

NOTHING = Mood(0.0, SECTOR, tears=False)
EVERYTHING = Mood(1.0, SECTOR, tears=False)
HALF = Mood(0.5, SECTOR, tears=False)


def disk_with(name: str, data: bytes) -> tuple[Disk, File]:
    """Synced, the name too."""
    disk = Disk()
    disk.create(name)
    file = disk.files[name]
    file.write(0, data)
    disk.sync(file, "sync")
    disk.sync_names()
    return disk, file


def cut(disk: Disk, mood: Mood, seed: int = 1) -> None:
    disk.die("a test")
    disk.revive(random.Random(seed), mood)


def test_what_was_synced_is_there_whatever_the_mood() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        disk, file = disk_with("a", b"kept" * 3_000)
        disk.revive(chance, any_mood(chance))
        assert file.data == b"kept" * 3_000


def test_what_was_not_synced_is_forgotten_the_length_too() -> None:
    disk, file = disk_with("a", b"old" * 1_000)
    file.write(1_000, b"new" * 5_000)
    file.truncate(7_000)
    file.truncate(10)
    file.write(20, b"x")
    cut(disk, NOTHING)
    assert file.data == b"old" * 1_000


def test_what_was_not_synced_may_be_there_all_the_same() -> None:
    disk, file = disk_with("a", b"old" * 1_000)
    file.write(1_000, b"new" * 5_000)
    file.truncate(7_000)
    seen = bytes(file.data)
    cut(disk, EVERYTHING)
    assert file.data == seen


def test_any_of_the_sectors_survive_in_any_order() -> None:
    patterns = set()
    for seed in range(200):
        disk, file = disk_with("a", b"o" * SECTOR * 4)
        for sector in range(4):
            file.write(sector * SECTOR, b"n" * SECTOR)
        cut(disk, HALF, seed)
        patterns.add("".join(chr(file.data[sector * SECTOR]) for sector in range(4)))
    assert len(patterns) == 16


def test_a_sector_may_be_torn_and_what_lies_beside_a_write_is_never_touched() -> None:
    torn = 0
    for seed in range(300):
        disk, file = disk_with("a", b"o" * SECTOR * 3)
        file.write(100, b"n" * SECTOR)
        disk.die("a test")
        effects = disk.revive(random.Random(seed), Mood(0.5, SECTOR, tears=True))
        assert set(file.data[:100]) == set(file.data[100 + SECTOR :]) == {ord("o")}
        torn += effects["torn writes"]
    assert torn > 50


def test_a_length_without_its_bytes_reads_as_zeros() -> None:
    seen = set()
    for seed in range(200):
        disk, file = disk_with("a", b"")
        file.write(0, b"n" * SECTOR * 2)
        cut(disk, HALF, seed)
        seen.add(bytes(file.data))
    assert {b"", bytes(SECTOR * 2), b"n" * SECTOR * 2, bytes(SECTOR) + b"n" * SECTOR} <= seen


def test_a_name_is_forgotten_until_its_folder_is_synced() -> None:
    disk, _ = disk_with("a", b"1")
    disk.create("b")
    disk.sync(disk.files["b"], "sync")
    disk.delete("a")
    cut(disk, NOTHING)
    assert list(disk.files) == ["a"]
    disk.create("b")
    disk.delete("a")
    disk.sync_names()
    cut(disk, NOTHING)
    assert list(disk.files) == ["b"]


def test_a_name_made_anew_leads_to_the_old_file_again() -> None:
    disk, old = disk_with("a", b"old")
    disk.delete("a")
    disk.create("a")
    assert disk.files["a"] is not old
    cut(disk, NOTHING)
    assert disk.files["a"].data == b"old"


def test_a_failed_sync_loses_what_it_was_for_and_the_next_one_says_it_is_well() -> None:
    disk, file = disk_with("a", b"o" * PAGE * 3)
    file.write(0, b"n" * 10)
    file.write(PAGE * 2, b"n" * 10)
    disk.arm_sync(1)
    with pytest.raises(SyncFailed):
        disk.sync(file, "sync")
    assert file.data[:10] == b"n" * 10  # as every program sees it
    file.write(PAGE * 2 + 10, b"m" * 10)  # the page goes out whole this time
    disk.sync(file, "sync")
    cut(disk, NOTHING)
    assert file.data[:10] == b"o" * 10
    assert file.data[PAGE * 2 : PAGE * 2 + 20] == b"n" * 10 + b"m" * 10


def test_what_is_written_once_more_is_there_after_a_failed_sync() -> None:
    disk, file = disk_with("a", b"o" * PAGE * 3)
    file.write(PAGE - 5, b"n" * 10)
    disk.arm_sync(1)
    with pytest.raises(SyncFailed):
        disk.sync(file, "sync")
    disk.renew("a")
    cut(disk, NOTHING)
    assert file.data[PAGE - 5 : PAGE + 5] == b"n" * 10


def test_the_power_goes_before_the_armed_call_and_nothing_is_heard_after() -> None:
    disk = Disk()
    disk.arm({"write a"}, 2)
    for call in ("read a", "write a", "read a"):
        disk.step(call)
    for call in ("write a", "read a"):
        with pytest.raises(PowerCut):
            disk.step(call)
    assert disk.fell == "write a"
    disk.revive(random.Random(1), None)
    disk.arm(EVERY_CALL, 1)
    with pytest.raises(PowerCut, match="read a"):
        disk.step("read a")


def test_a_clone_knows_what_is_not_synced_and_goes_its_own_way() -> None:
    disk, file = disk_with("a", b"old")
    file.write(0, b"new")
    disk.delete("a")
    disk.create("a")
    twin = disk.clone()
    cut(twin, NOTHING)
    assert twin.files["a"].data == b"old"
    assert disk.files["a"].data == b""
    assert file.data == b"new"
