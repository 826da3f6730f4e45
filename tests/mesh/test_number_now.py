"""Numbers given in the transaction of another: only to what is next, and nothing is sent before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
from netsky.mesh.driver import Driver
from netsky.mesh.effects import Close, Effects, Record
from netsky.mesh.offer import Offer

from tests.mesh.test_driver import Couple, rest, settle
from tests.mesh.world import NOW, MemoryStore, Row, roster, sealed


def stored_by_another(store: MemoryStore, couple: Couple, id_: str) -> Offer:
    """A row that somebody is just about to store, without a bell."""
    batch = couple.left.node.batch(couple.right.node, id_)
    row = Row(len(store.rows), "work", "own", batch, (0,))
    store.rows.append(row)
    return Offer("own", (row.id,), batch, received=NOW)


def driver_of(couple: Couple) -> Driver:
    [driver] = couple.left.store.drivers
    return driver


async def given(couple: Couple, id_: str) -> Effects | None:
    offer = stored_by_another(couple.left.store, couple, id_)
    return driver_of(couple).number_now("work", offer, NOW)


def held_up(store: MemoryStore) -> trio.Event:
    """It stores nothing until this is set."""
    persist, going_on = store.persist, trio.Event()

    async def slow(records: Sequence[Record]) -> None:
        await going_on.wait()
        await persist(records)

    store.persist = slow  # type: ignore[method-assign]
    return going_on


async def test_what_is_next_gets_its_number_and_leaves_when_it_is_stored(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        for id_ in ("a", "b"):
            effects = await given(couple, id_)
            assert effects is not None
            await settle()
            assert id_ not in couple.arrived()
            couple.left.store.commit(effects.persist)
            driver_of(couple).go(effects)
            await settle()
            assert couple.arrived()[-1] == id_
        await rest()
        assert couple.acked() == 2


async def test_it_waits_behind_what_has_none_even_if_only_the_bell_has_rung(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        couple.send("first")  # the bell rings, and nobody has heard it yet
        assert await given(couple, "second") is None
        couple.left.store.changed.set()
        await settle()
        assert couple.arrived() == ["first", "second"]


async def test_it_waits_where_nobody_has_looked_since_something_was_left_behind(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        driver_of(couple).look_first("work")
        assert await given(couple, "a") is None
        couple.left.store.changed.set()
        await settle()
        assert await given(couple, "b") is not None


async def test_it_waits_while_its_driver_is_in_a_turn(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        going_on = held_up(couple.left.store)
        couple.send("first")
        await settle()
        assert await given(couple, "second") is None
        going_on.set()
        couple.left.store.changed.set()
        await settle()
        assert couple.arrived() == ["first", "second"]


async def test_it_waits_for_room_and_goes_when_there_is_some(autojump_clock: object) -> None:
    couple = Couple()
    couple.right.store.windows["work"] = (64, 1)
    async with couple.linked():
        await settle()
        effects = await given(couple, "a")
        assert effects is not None
        assert await given(couple, "b") is None, "a frame fits while any byte is left, and none is"
        couple.left.store.commit(effects.persist)
        driver_of(couple).go(effects)
        await rest()
        assert couple.arrived() == ["a", "b"]


async def test_it_waits_behind_what_may_have_been_too_large_for_the_room_that_was_left(autojump_clock: object) -> None:
    """A store that is asked for less than a batch may have one, and have to say that it has nothing."""
    couple = Couple()
    couple.right.store.windows["work"] = (64, 1 << 20)
    async with couple.linked():
        await settle()
        effects = await given(couple, "a")
        assert effects is not None
        couple.left.store.commit(effects.persist)
        driver_of(couple).go(effects)
        driver_of(couple)._link.submit("work", [], NOW)
        assert await given(couple, "b") is None
        await rest()
        assert couple.arrived() == ["a", "b"]


async def test_it_waits_until_its_link_has_the_roster_that_let_it_in(autojump_clock: object) -> None:
    couple = Couple(down=True)
    async with couple.linked():
        await settle()
        couple.left.store.known = sealed(roster(6, numbers=(0, 1, 2, 3)))
        assert await given(couple, "a") is None


@pytest.mark.parametrize("frozen", [False, True], ids=["before hello", "on a frozen lane"])
async def test_nothing_is_numbered(frozen: bool, autojump_clock: object) -> None:
    couple = Couple()
    if frozen:
        outgoing = couple.left.store.state.outgoing
        couple.left.store.state = replace(
            couple.left.store.state, outgoing=outgoing | {"work": replace(outgoing["work"], frozen="diverged")}
        )
    async with couple.linked():
        if frozen:
            await settle()
        else:
            while not couple.left.store.drivers:
                await trio.lowlevel.checkpoint()
        assert await given(couple, "a") is None


async def test_a_transaction_that_failed_ends_the_link_and_the_number_is_free(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        assert await given(couple, "a") is not None
        driver_of(couple).fail()
        await settle()
        assert couple.ends["left"] == Close("store", "This node could not store what it was about to send.")
    couple.left.store.drivers.clear()
    async with couple.linked():
        await settle()
        assert couple.arrived() == ["a"]
        assert couple.left.store.rows[0].number == 1


async def test_it_does_not_wait_while_what_came_from_the_peer_is_stored(autojump_clock: object) -> None:
    couple = Couple()
    async with couple.linked():
        await settle()
        going_on = held_up(couple.left.store)
        couple.right.store.add("work", couple.right.node.batch(couple.left.node, "there"))
        await settle()
        effects = await given(couple, "a")
        assert effects is not None
        couple.left.store.commit(effects.persist)
        driver_of(couple).go(effects)
        going_on.set()
        await settle()
        assert couple.arrived() == ["a"]
        assert [id_ for _, id_ in couple.left.store.stored] == ["there"]
