from __future__ import annotations

import os
import pathlib

import pytest
from netsky.node.blobs.collect import collect
from netsky.node.db import blobs
from netsky.node.seams.ledger import Statement

from tests.node.blobs.conftest import CHUNK, Clock, World, open_world, sha

HOUR = 3600 * 10**9
FORWARD = (
    "INSERT INTO forward (seq, peer, lane, origin, recipient, state, envelopes, bytes, batch, expires, received_at, "
    "attached) VALUES (5, x'01', 'work', x'02', 'agent0', 'open', 1, 1, x'', 1, 1, 1)"
)


async def left_after(world: World, ns: int) -> bool:
    world.clock.now += ns
    await collect(world.store, world.group, world.clock.now)
    rows = await world.rows("SELECT * FROM blobs")
    assert bool(rows) == bool(world.files), "row and file go together"
    return bool(rows)


async def test_a_blob_that_nobody_names_goes_an_hour_after_somebody_was_told_of_it(world: World) -> None:
    await world.put(b"x")
    assert await left_after(world, HOUR - 1)
    assert await world.store.begin("agent0", sha(b"x"), 1) is None  # told again
    assert await left_after(world, HOUR - 1)
    assert not await left_after(world, 2)


@pytest.mark.parametrize("holders", [("message",), ("forward",), ("message", "forward")])
async def test_a_blob_lives_as_long_as_any_row_names_it(world: World, holders: tuple[blobs.Holder, ...]) -> None:
    await world.put(b"x")
    await world.group.write([blobs.name([blobs.Name(holder, 5, sha(b"x"), 1) for holder in holders])])
    if "forward" in holders:
        await world.rows(FORWARD)
    assert await left_after(world, 1000 * HOUR)
    if "forward" in holders:
        await world.rows("DELETE FROM forward WHERE seq = 5")
        assert await left_after(world, 1000 * HOUR) == ("message" in holders)
    if "message" in holders:
        assert await left_after(world, 1000 * HOUR)
        await world.rows("DELETE FROM blob_names WHERE holder = 'message' AND seq = 5")
        assert not await left_after(world, 1000 * HOUR)


async def test_two_envelopes_name_one_blob_and_the_last_lets_it_go(world: World) -> None:
    await world.put(b"x")
    await world.group.write([blobs.name([blobs.Name("message", seq, sha(b"x"), 1) for seq in (5, 6)])])
    await world.rows("DELETE FROM blob_names WHERE seq = 5")
    assert await left_after(world, 2 * HOUR)
    await world.rows("DELETE FROM blob_names WHERE seq = 6")
    assert not await left_after(world, 2 * HOUR)


async def test_a_beginning_that_nobody_went_on_with_goes_after_a_day(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, clock=clock) as world:
        await world.put(os.urandom(2 * CHUNK), upto=CHUNK)
    async with open_world(tmp_path, clock=clock) as world:
        clock.now += 24 * HOUR - 1
        assert await collect(world.store, world.group, clock.now) == 0
        clock.now += 2
        assert await collect(world.store, world.group, clock.now) == 1
        assert world.files == []


async def test_what_a_killed_writer_left_without_a_row_goes_at_the_next_start(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        await world.put(b"kept")
        await world.put(b"lost row")
        await world.put(os.urandom(2 * CHUNK), upto=CHUNK)
        await world.group.write([Statement("DELETE FROM blobs WHERE hash = ?", (sha(b"lost row"),))])
        (tmp_path / "blobs/parts/agent0-stray").write_bytes(b"x")
    async with open_world(tmp_path) as world:
        name = sha(b"kept").hex()
        assert [file for file in world.files if not file.startswith("parts/")] == [f"{name[:2]}/{name}"]
        assert len([file for file in world.files if file.startswith("parts/")]) == 1
