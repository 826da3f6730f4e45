"""Killed before every seam call of a short story, and once more in the life after that: nothing is lost."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from netsky.node.bus.bus import Bus
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.bus.drain import Drain
from netsky.node.bus.drop import drop_in_outbox
from netsky.node.config import Config
from netsky.node.db import actors, arrivals, inbox
from netsky.node.db.group import GroupCommit
from netsky.node.db.ledger import SqliteLedgers
from netsky.node.db.opening import begin
from netsky.node.errors import NetskyError
from netsky.node.lab.interpose import Killed, Life
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams import Seams
from netsky.node.seams.real_files import RealFiles

from tests.node.bus.conftest import CONSTELLATION, Identity, Neighbours, ShiftedTime, Told

KEYS = ("k0", "k1", "k2")
STORY_TURNS = 12


@dataclass
class Books:
    """What sender and consumer saw themselves, over all lives."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    dropped: bool = False
    emitted: list[str] = field(default_factory=list)
    acked: set[str] = field(default_factory=set)


class Link:
    """Claim and ack as the verbs do them, through the node that may die under it."""

    def __init__(self, group: GroupCommit) -> None:
        self._group = group
        self.states: dict[str, str] = {}

    async def learn(self, names: list[str]) -> None:
        _, found = await self._group.write([inbox.claim("agent0", names, 1), arrivals.places_of_files("agent0", names)])
        self.states = {row.file: "taken" if row.state == "taken" else "ok" for row in arrivals.place_rows(found)}

    def claim(self, names: Any) -> dict[str, str]:
        return {name: self.states.get(name, "unknown") for name in names}

    def ack(self, names: Any) -> None:
        """The row was taken before the drain was told to move the file."""


async def one_life(root: pathlib.Path, books: Books, kill_before: int | None, number: int) -> list[str]:
    nothing: Any = None
    time = ShiftedTime()
    real_files, chance = RealFiles(), SeededChance(number)
    ledgers: list[Any] = []

    class Remembering:
        def open(self, path: str) -> Any:
            ledgers.append(SqliteLedgers().open(path))
            return ledgers[-1]

    life = Life(Seams(real_files, Remembering(), nothing, nothing, nothing, time, chance), kill_before)
    try:
        await story(root, books, life.seams)
    except BaseException as error:
        if not (life.dead and _killed(error)):
            raise
    finally:
        life.kill()
        for ledger in ledgers:
            ledger.close()
    return life.calls


def _killed(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_killed(part) for part in error.exceptions)
    stopped = isinstance(error, NetskyError) and error.code == "node_stopped"
    return stopped or isinstance(error, Killed | trio.Cancelled)


async def story(root: pathlib.Path, books: Books, seams: Seams) -> None:
    """Three sends under keys, an outbox file from agent1, and a drain of agent0 that takes all four."""
    path = str(root / "meta.db")
    ledger = seams.ledger.open(path)
    opened = await begin(ledger, path, 1, "test")
    await ledger.transaction([actors.put(row) for row in CONSTELLATION])
    group = GroupCommit(ledger, seams.time)
    bus = Bus(
        channels=str(root / "channels"),
        files=seams.files,
        time=seams.time,
        chance=seams.chance,
        identity=Identity(),
        config=lambda: Config(free_mib_floor=16),
        group=group,
        notify=Told(),
        mesh=Neighbours(),
        pid=4242,
    )
    await bus.recover(ledger.transaction, after_crash=opened.after_crash)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run)
        for key in KEYS:
            [result] = await bus.accept("owner", "operator", [Draft(to="agent0", text=key, idempotency_key=key)])
            assert isinstance(result, Accepted), result
            if key in books.accepted:
                assert result.id == books.accepted[key].id
            books.accepted[key] = result
        if not books.dropped:
            bus.channel("agent1").close()
            _drop(root)
            books.dropped = True
        for _ in range(STORY_TURNS):
            await bus.sweep.turn()
            while await bus.projector.turn():
                pass
            await consume(root, group, books)
            if len(_archived(root)) == len(KEYS) + 1:
                break
        nursery.cancel_scope.cancel()


def _drop(root: pathlib.Path) -> None:
    folder = str(root / "channels" / "agent1")
    draft = {"to": "agent0", "text": "dropped", "idempotency_key": "dropped"}
    drop_in_outbox(RealFiles(), ShiftedTime(), SeededChance(7), folder=folder, actor="agent1", draft=draft)


async def consume(root: pathlib.Path, group: GroupCommit, books: Books) -> None:
    folder = root / "channels" / "agent0"
    link = Link(group)
    names = [n for box in ("claimed", "inbox") for n in os.listdir(folder / box) if n[0] != "."]
    await link.learn(names)
    with Drain(RealFiles(), str(folder), link) as drain:
        for item in drain.envelopes():
            assert item.name not in books.acked, "shown again after the node had said that it is taken"
            books.emitted.append(item.envelope.text)
            await group.write([inbox.take_files("agent0", [item.name], 1, "ack")])
            books.acked.add(item.name)
            drain.ack(item.name)


def _archived(root: pathlib.Path) -> list[str]:
    return os.listdir(root / "channels" / "agent0" / "archive")


async def check(root: pathlib.Path, books: Books) -> None:
    """What must hold once the last life went through."""
    assert set(books.emitted) == {*KEYS, "dropped"}
    channels = root / "channels"
    for box in ("inbox", "claimed", "quarantine"):
        assert os.listdir(channels / "agent0" / box) == [], box
    assert [name for name in os.listdir(channels / "agent1" / "outbox") if name[0] != "."] == []
    ledger = SqliteLedgers().open(str(root / "meta.db"))
    try:
        waiting, ids = await ledger.transaction(
            [
                arrivals.waiting_places("agent0", 100),
                arrivals.places_of_ids("agent0", [one.id for one in books.accepted.values()]),
            ]
        )
        assert waiting == []
        assert len(ids) == len(KEYS)
    finally:
        ledger.close()
    archived = _archived(root)
    assert len(archived) == len(set(archived)) == len(KEYS) + 1, "projected again under its own or another name"


async def test_the_story_goes_through_without_a_kill(tmp_path: pathlib.Path) -> None:
    (tmp_path / "channels").mkdir()
    books = Books()
    calls = await one_life(tmp_path, books, None, 0)
    await check(tmp_path, books)
    assert len(calls) > 100
    assert sorted(books.emitted) == sorted({*KEYS, "dropped"})


@pytest.fixture
def memory() -> Iterator[pathlib.Path]:
    """A folder in memory where there is one: hundreds of lives, and none of them loses power."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as made:
        yield pathlib.Path(made)


async def test_killed_before_any_seam_call_nothing_is_lost(memory: pathlib.Path) -> None:
    (memory / "count" / "channels").mkdir(parents=True)
    total = len(await one_life(memory / "count", Books(), None, 0))
    print(f"{total} seam calls")
    for kill in range(1, total + 1):
        root = memory / str(kill)
        (root / "channels").mkdir(parents=True)
        books = Books()
        await one_life(root, books, kill, 1)
        if kill % 3 == 0:  # the life after that dies too, early in its recovery or later
            await one_life(root, books, 1 + kill * 7 % 60, 2)
        await one_life(root, books, None, 3)
        await check(root, books)
