"""What a node notices by itself, at its start and as often as its config says."""

from __future__ import annotations

import os
import pathlib

import pytest
import trio
from netsky.node.bus.draft import Draft
from netsky.node.bus.quarantine import REASON_SUFFIX
from netsky.node.config import Config
from netsky.node.db import inbox
from netsky.node.errors import Conflict, NotFound
from netsky.node.seams.real_files import RealFiles

from tests.node.bus.conftest import ShiftedTime, World, open_world

OLD = (1_000_000_000, 1_000_000_000)


class Counting(RealFiles):
    opened = 0

    def open_folder(self, path: str, under: int | None = None) -> int:
        self.opened += 1
        return super().open_folder(path, under)


@pytest.mark.parametrize("folder", ["archive", "processed"])
async def test_what_a_consumer_archives_by_itself_is_taken(world: World, folder: str) -> None:
    accepted = await world.send()
    await world.project()
    await world.bus.sweep.turn()
    world.folder("agent0", "processed").mkdir()
    os.rename(world.folder("agent0", "inbox") / str(accepted.file), world.folder("agent0", folder) / str(accepted.file))
    await world.bus.sweep.turn()
    assert await world.state("agent0", accepted.file) == "taken"
    assert world.told.takings == 1


async def test_at_a_start_what_was_archived_meanwhile_is_taken_and_not_written_again(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send()
        await world.project()
    async with open_world(tmp_path, recover=False) as world:
        assert await world.drained(asks=False) == ["hello"]
        found = await world.bus.recover(world.ledger.transaction, after_crash=False)
        assert found.taken == 1
        assert await world.state("agent0", accepted.file) == "taken"
        assert world.names("agent0", "inbox") == []


async def test_at_a_start_files_of_taken_rows_go_to_the_archive(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send()
        await world.project()
        await world.drained(ack=False)
        await world.rows(inbox.take_files("agent0", [str(accepted.file)], 1, "ack"))
    async with open_world(tmp_path) as world:
        assert world.names("agent0", "archive") == [accepted.file]
        assert world.names("agent0", "claimed") == []


async def test_at_a_start_rows_without_files_get_them(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        await world.bus.accept("owner", "operator", [Draft(to="agent0", text=str(n)) for n in range(200)])
    async with open_world(tmp_path) as world:
        assert len(world.names("agent0", "inbox")) == 200
        assert await world.states("agent0") == ["projected"] * 200


@pytest.mark.parametrize("place", ["inbox", "claimed"])
@pytest.mark.parametrize("restored", [True, False])
async def test_after_a_restore_no_drain_is_shown_what_the_node_forgot(
    tmp_path: pathlib.Path, place: str, restored: bool
) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send()
        await world.project()
        if place == "claimed":
            await world.drained(ack=False)
        path = world.folder("agent0", place) / str(accepted.file)
        os.rename(path, path.with_name("00" + path.name[2:]))  # a row that is not there any more
        await world.rows(inbox.take_files("agent0", [str(accepted.file)], 1, "ack"))
    async with open_world(tmp_path, recover=False) as world:
        await world.bus.recover(world.ledger.transaction, after_crash=False, restored=restored)
        assert await world.drained(asks=False) == ([] if restored else ["hello"])
        assert len(world.names("agent0", "quarantine")) == (2 if restored else 0)


@pytest.mark.parametrize("damage", [b"", b"{", None])
@pytest.mark.parametrize("place", ["inbox", "claimed"])
async def test_after_a_power_cut_damaged_files_are_written_again(
    tmp_path: pathlib.Path, damage: bytes | None, place: str
) -> None:
    async with open_world(tmp_path) as world:
        accepted = await world.send(text="whole")
        await world.project()
        if place == "claimed":
            await world.drained(ack=False)
        path = world.folder("agent0", place) / str(accepted.file)
        path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    async with open_world(tmp_path, recover=False) as world:
        found = await world.bus.recover(world.ledger.transaction, after_crash=True)
        assert found.damaged == 1
        assert await world.drained() == ["whole"]


async def test_at_a_start_temporaries_of_the_node_are_removed_and_those_of_others_when_old(
    tmp_path: pathlib.Path,
) -> None:
    async with open_world(tmp_path) as world:
        world.bus.channel("agent0").close()
        for folder, name, old in (
            ("inbox", ".a.json.tmp", False),
            ("outbox", ".b.json.tmp", False),
            ("outbox", ".c.json.0.tmp", True),
        ):
            path = world.folder("agent0", folder) / name
            path.touch()
            if old:
                os.utime(path, OLD)
    async with open_world(tmp_path) as world:
        assert os.listdir(world.folder("agent0", "inbox")) == []
        assert os.listdir(world.folder("agent0", "outbox")) == [".b.json.tmp"]


async def test_a_row_taken_by_word_alone_has_its_file_archived(world: World) -> None:
    accepted = await world.send()
    await world.project()
    for _ in range(3):
        await world.bus.sweep.turn()
    await world.rows(inbox.take_files("agent0", [str(accepted.file)], 1, "ack"))
    world.bus.acked("agent0")
    await world.bus.sweep.turn()
    assert world.names("agent0", "archive") == [accepted.file]


async def test_when_nothing_moved_nothing_is_opened(tmp_path: pathlib.Path) -> None:
    files = Counting()
    async with open_world(tmp_path, files=files) as world:
        await world.send()
        await world.project()
        for _ in range(4):
            await world.bus.sweep.turn()
        files.opened = 0
        await world.bus.sweep.turn()
        assert files.opened == 2  # channels, and the one actor's folder


async def test_low_disk_is_told_once_and_its_end_too(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        free = world.files.free_bytes
        world.files.free_bytes = lambda path: 5 << 20
        for _ in range(3):
            await world.bus.sweep.turn()
        world.files.free_bytes = free
        await world.bus.sweep.turn()
        assert world.told.kinds() == ["disk_low", "disk_recovered"]


async def test_replay_shows_a_taken_envelope_again(world: World) -> None:
    accepted = await world.send(text="again")
    await world.project()
    assert await world.drained() == ["again"]
    assert await world.bus.replay("agent0", accepted.id) == accepted.file
    assert world.names("agent0", "archive") == []
    await world.bus.sweep.turn()
    await world.project()
    assert await world.states("agent0") == ["projected"]
    assert await world.drained() == ["again"]
    assert "replayed" in world.told.kinds()


async def test_replay_writes_a_file_that_is_gone_from_its_row(world: World) -> None:
    accepted = await world.send(text="again")
    await world.project()
    (world.folder("agent0", "inbox") / str(accepted.file)).unlink()
    await world.bus.replay("agent0", str(accepted.file))
    await world.project()
    assert await world.drained() == ["again"]


async def test_replay_of_what_still_waits_or_never_was_is_refused(world: World) -> None:
    accepted = await world.send()
    await world.project()
    with pytest.raises(Conflict):
        await world.bus.replay("agent0", accepted.id)
    with pytest.raises(NotFound):
        await world.bus.replay("agent1", accepted.id)


async def test_an_archive_is_pruned_by_age_but_never_of_what_is_not_taken(world: World) -> None:
    for text in ("taken", "waiting"):
        await world.send(text=text)
        await world.project()
    with world.drain(asks=False) as drain:
        first, second = drain.envelopes()
        drain.ack(first.name, second.name)
    await world.rows(inbox.take_files("agent0", [first.name], 1, "ack"))
    await world.bus.prune()
    assert len(world.names("agent0", "archive")) == 2
    world.time.ahead = 31 * 86_400 * 10**9
    await world.bus.prune()
    assert world.names("agent0", "archive") == [second.name]


async def test_an_archive_is_pruned_by_size_oldest_first(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(archive_mib_max=1, free_mib_floor=16)) as world:
        await world.bus.accept("owner", "operator", [Draft(to="agent0", text="x" * 40_000)] * 40)
        await world.project()
        names = world.names("agent0", "inbox")
        await world.drained()
        await world.bus.prune()
        kept = world.names("agent0", "archive")
        assert kept == names[-len(kept) :]
        size = sum(os.stat(world.folder("agent0", "archive") / name).st_size for name in kept)
        assert (1 << 20) - 41_000 < size <= 1 << 20


async def test_quarantine_keeps_the_newest_and_their_reasons(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(quarantine_files_max=5, free_mib_floor=16)) as world:
        world.bus.channel("agent0").close()
        for number in range(12):
            path = world.folder("agent0", "inbox") / f"{number:02}.json"
            path.mkdir() if number % 4 == 0 else path.touch()
            os.utime(path, (number + 1, number + 1))
        await world.bus.sweep.turn()
        await world.bus.prune()
        kept = [name for name in world.names("agent0", "quarantine") if not name.endswith(REASON_SUFFIX)]
        assert kept == [f"{number:02}.json" for number in range(7, 12)]
        assert len(os.listdir(world.folder("agent0", "quarantine"))) == 10


async def test_old_receipts_are_removed(world: World) -> None:
    world.bus.channel("agent0").close()
    for number in range(1_010):
        path = world.folder("agent0", "outbox") / f"{number:05}.receipt.json"
        path.touch()
        os.utime(path, (number + 1, number + 1))
    await world.bus.prune()
    left = world.names("agent0", "outbox")
    assert (len(left), left[0]) == (1_000, "00010.receipt.json")


class Slept(ShiftedTime):
    """Nobody waits here: it is written down how long they would have."""

    def __init__(self) -> None:
        self.pauses: list[int] = []

    def monotonic(self) -> int:
        return 0

    async def sleep_until(self, monotonic_ns: int) -> None:
        self.pauses.append(monotonic_ns)
        await trio.sleep_forever()


@pytest.mark.parametrize(("config", "pause"), [(Config(), 250), (Config(sweep_ms=7_000), 7_000)])
async def test_between_two_looks_passes_as_much_time_as_the_config_says(
    tmp_path: pathlib.Path, config: Config, pause: int
) -> None:
    time = Slept()
    async with open_world(tmp_path, config=config, time=time) as world, trio.open_nursery() as nursery:
        nursery.start_soon(world.bus.sweep.run)
        while not time.pauses:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert time.pauses == [pause * 10**6]


async def test_projector_and_sweep_run_by_themselves(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world, trio.open_nursery() as nursery:
        visible = trio.Event()
        world.told.arrived = lambda actor: visible.set() if actor == "agent0" else None  # type: ignore[method-assign]
        nursery.start_soon(world.bus.projector.run)
        nursery.start_soon(world.bus.run_sweep)
        world.bus.channel("agent1").close()
        (world.folder("agent1", "outbox") / "a.json").write_text(
            '{"from": "x", "to": "agent0", "text": "by file", "ts": "2026-11-21T00:00:00Z"}'
        )
        with trio.fail_after(10):
            await visible.wait()
        assert await world.drained() == ["by file"]
        nursery.cancel_scope.cancel()
