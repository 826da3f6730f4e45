"""Homes that are put back from backups, in virtual time on real databases: each story ends with the promise.

An accepted envelope is delivered exactly once in each memory of its destination, or dead, or in doubt, and its sender
knows. A home is put back *behind its back* here: files replaced, and nobody tells the node.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.mesh.effects import Numbered, Record
from netsky.mesh.outcome import ended_by
from netsky.mesh.roster import seal_roster
from netsky.node.db.outbox import Mine
from netsky.node.errors import NetskyError
from netsky.node.home import LIVES_FILE, RESTORED_FILE
from netsky.node.lab.virtual import SeededChance
from netsky.node.links import endings
from netsky.node.links.store import PeerStore
from netsky.relay.holds import Load

from tests.node.stations import Station, identity, key, private_key, roster, station
from tests.node.test_links import BACK, WORK, World
from tests.node.test_relay import errors

HOUR = 3600 * 10**9


@dataclass
class Town:
    """Stations that are started and stopped one by one, and their backups."""

    world: World
    nursery: trio.Nursery
    routes: Sequence[str] = (WORK, BACK)
    at: dict[int, Station] = field(default_factory=dict)
    over: dict[int, trio.Event] = field(default_factory=dict)
    ended: dict[int, trio.Event] = field(default_factory=dict)
    begun: int = 0
    reign: int = 1

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            self.over[number], self.ended[number] = trio.Event(), trio.Event()
            await self.nursery.start(self._live, number)

    async def stop(self, *numbers: int) -> None:
        for number in numbers:
            self.over[number].set()
            await self.ended[number].wait()
            assert self.at.pop(number).crashes == []

    async def save(self, number: int) -> None:
        await self.stop(number)
        shutil.copytree(self.home(number), self.copy(number), dirs_exist_ok=True)
        await self.start(number)

    async def put_back(self, number: int, *, lives: bool = False) -> None:
        """The database of then; of the file beside it, the one of then as well unless `lives`."""
        await self.stop(number)
        for path in self.home(number).glob("meta.db*"):
            path.unlink()
        for path in self.copy(number).glob("meta.db*"):
            shutil.copy(path, self.home(number))
        if not lives:
            shutil.copy(self.copy(number) / LIVES_FILE, self.home(number))
        shutil.rmtree(self.home(number) / "channels")
        (self.home(number) / "channels").mkdir()

    async def lose(self, number: int) -> None:
        """Everything but the key, and the roster that a Station is given."""
        await self.stop(number)
        shutil.rmtree(self.home(number))

    def home(self, number: int) -> Path:
        return self.world.folder / str(number)

    def copy(self, number: int) -> Path:
        return self.world.folder / f"backup of {number}"

    async def send(self, origin: int, to: int, *texts: str, **fields: Any) -> list[str]:
        return [one.id for one in await self.at[origin].send(f"agent0@netsky{to}", *texts, **fields)]

    async def settle(self, seconds: float = 60) -> None:
        """Long enough for every link to be there again, several times over."""
        await trio.sleep(seconds)
        for number, node in self.at.items():
            assert node.crashes == [], number
            for state in node.links.status():
                assert state["up"], (number, state["trouble"])
                assert state["frozen"] == {}
            for table in ("forward", "flight", "answers"):
                assert await node.one(f"SELECT count(*) FROM {table}") == 0, (number, table)
            assert await node.one("SELECT count(*) FROM outbox WHERE state != 'done'") == 0, number

    async def received(self, number: int) -> list[str]:
        rows = await self.at[number].rows(
            "SELECT messages.id FROM inbox JOIN messages USING (seq) WHERE kind IS NOT 'error' ORDER BY seq"
        )
        return [str(row[0]) for row in rows]

    async def fate(self, origin: int, id_: str) -> tuple[str, str | None]:
        [row] = await self.at[origin].rows(
            "SELECT outcomes.fate, outcomes.code FROM messages JOIN outcomes USING (leaf) WHERE messages.id = ?", id_
        )
        return row  # type: ignore[return-value]

    async def lives(self, number: int) -> list[Any]:
        return await self.at[number].rows(
            "SELECT DISTINCT life, reason FROM lives WHERE direction = 'out' AND life > 1 ORDER BY life"
        )

    async def _live(self, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        made = self.world.station(number, self.routes if number == 0 else ())
        made.identity = identity(number, self.reign)
        self.begun += 1
        # What one life of a node draws, no other does.
        made.seams = replace(made.seams, chance=SeededChance(1_000 + self.begun))
        async with station(made):
            self.at[number] = made
            task_status.started()
            await self.over[number].wait()
        self.ended[number].set()


@asynccontextmanager
async def town(folder: Path, *numbers: int) -> AsyncIterator[Town]:
    async with trio.open_nursery() as nursery:
        made = Town(World(folder), nursery)
        await made.start(*(numbers or (0, 1, 2)))
        await trio.sleep(2)
        yield made
        await made.stop(*made.at)


async def test_a_restored_sender_begins_a_new_life_and_what_arrived_before_arrives_no_more(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        first = await it.send(1, 2, "a", "b")
        await it.stop(0)  # so that what is accepted now has no number when the copy is made
        waiting = await it.send(1, 2, "c", "d")
        await it.save(1)
        await it.start(0)
        await trio.sleep(10)
        lost = await it.send(1, 2, "only the lost disk knew it")
        await trio.sleep(5)
        assert await it.received(2) == [*first, *waiting, *lost]
        await it.put_back(1)
        await it.start(1)
        later = await it.send(1, 2, "e")
        await it.settle()
        assert await it.received(2) == [*first, *waiting, *lost, *later]
        for id_ in (*first, *waiting, *later):
            assert await it.fate(1, id_) == ("delivered", None)
        assert await it.lives(1) == [(2, "proof")]
        assert (it.home(1) / LIVES_FILE).read_text() == "2\n"
        assert await it.lives(0) == [(2, "peer_behind")], "outcomes that it had acknowledged"
        assert await it.lives(2) == []


async def test_a_restored_receiver_gets_again_what_it_lost_from_every_origin(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        kept = await it.send(1, 2, "kept")
        await trio.sleep(330)
        kept += await it.send(1, 2, "the last before the copy")
        await trio.sleep(5)
        await it.save(2)
        await trio.sleep(330)
        lost = [*(await it.send(1, 2, "a", "b")), *(await it.send(0, 2, "from the root"))]
        await trio.sleep(5)
        assert set(await it.received(2)) == {*kept, *lost}
        await it.put_back(2)
        await it.start(2)
        await it.settle()
        assert sorted(await it.received(2)) == sorted([*kept, *lost])
        assert await it.fate(1, lost[0]) == ("delivered", None)
        # What it still has is not sent again, but for what its clock cannot tell.
        assert await it.at[1].one("SELECT count(*) FROM outbox WHERE put_back = 2") == 3
        assert await it.at[1].one("SELECT count(*) FROM lineages WHERE node = ? AND superseded", key(2)) == 0
        assert await it.at[1].one("SELECT count(*) FROM lineages WHERE node = ?", key(2)) == 1


async def test_a_receiver_whose_backup_is_older_than_all_that_came_to_it_gets_all_of_it_again(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Nothing was remembered up to no time at all, and that is not how a node begins."""
    async with town(tmp_path) as it:
        await it.save(2)
        await trio.sleep(5)
        lost = await it.send(1, 2, "the first that ever came")
        await trio.sleep(5)
        await it.put_back(2)
        await it.start(2)
        await it.settle()
        assert await it.received(2) == lost
        assert await it.fate(1, lost[0]) == ("delivered", None)


async def test_an_outcome_of_before_the_restore_that_comes_after_it_does_not_end_what_was_lost(
    tmp_path: Path, autojump_clock: object
) -> None:
    """It waits at the root while its origin is away; then the origin hears of it, and of the restore, at once. There is
    more than one window of it, so that some of what was lost has not been sent again when its old outcome comes."""
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(2)
        await trio.sleep(330)
        await it.stop(2)
        lost = await it.send(1, 2, *(f"text {at} ".ljust(4_000, ".") for at in range(900)))
        await trio.sleep(30)
        await it.stop(1)
        await it.start(2)
        await trio.sleep(5)
        assert len(await it.received(2)) == 901
        assert await it.at[0].one("SELECT count(*) FROM answers") > 0
        await it.put_back(2)
        await it.start(2)
        await trio.sleep(5)
        await it.start(1)
        await it.settle()
        assert set(await it.received(2)) >= set(lost)
        assert {await it.fate(1, id_) for id_ in lost} == {("delivered", None)}


async def test_what_a_restored_receiver_would_not_take_any_more_is_in_doubt_at_its_sender(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(2)
        await trio.sleep(330)
        [lost] = await it.send(1, 2, "short-lived", expires_in_ns=HOUR // 60)
        await trio.sleep(5)
        assert await it.fate(1, lost) == ("delivered", None)
        await trio.sleep(120)
        await it.put_back(2)
        await it.start(2)
        await it.settle()
        assert await it.fate(1, lost) == ("in_doubt", "restored")
        assert [error["data"]["id"] for error in errors(it.at[1])] == [lost]
        assert lost not in await it.received(2)


@pytest.mark.parametrize("code", ["expired", "unknown_actor", "authority"])
def test_what_ends_when_it_goes_out_again_is_in_doubt_for_the_loss_and_not_for_what_ended_it_now(code: str) -> None:
    """Told as `in_doubt(expired)` it read as if it had never arrived: found by seeds 23 and 51 of `netsky sim
    --campaign 60 --seed 1 --nodes 3 --hours 0.02 --every 2 --faults heavy`."""
    one, other, root = key(1), key(2), key(0)
    mine = Mine(1, "a", bytes(32), other, "agent0", None, HOUR, "acked", 1, "actor", put_back=2)
    outcome = ended_by(other, (one, "a", bytes(32)), "dead", code, 5)._replace(via=other)
    found = endings.apply([(root, outcome)], {"a": mine}, endings.Believed(one, root), HOUR)
    assert [(told.fate, told.code) for _, told in found.fates] == [("in_doubt", "restored")]


async def test_a_file_that_a_restored_home_takes_in_again_is_in_doubt_and_not_dead(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Its id follows from the file, and the new envelope has another time: found by seed 34 of the same campaign."""
    async with town(tmp_path) as it:
        await it.save(1)
        [sent] = await it.send(1, 2, "from a file", id="72d26ffee7921a09338ff68941")
        await trio.sleep(5)
        assert await it.fate(1, sent) == ("delivered", None)
        await it.put_back(1)
        await it.start(1)
        await trio.sleep(5)
        [again] = await it.send(1, 2, "from a file", id=sent)
        await it.settle()
        assert again == sent
        assert await it.fate(1, sent) == ("in_doubt", "other_content")
        assert await it.received(2) == [sent]


async def test_what_a_restored_receiver_lost_and_its_origin_keeps_no_bytes_of_is_in_doubt(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(2)
        await trio.sleep(330)
        [gone, kept] = await it.send(1, 2, "its bytes go", "its bytes stay")
        await trio.sleep(5)
        seq = await it.at[1].one("SELECT seq FROM messages WHERE id = ?", gone)
        await it.at[1].rows("UPDATE messages SET header = NULL, body = NULL WHERE seq = ? RETURNING 1", seq)
        await it.at[1].rows("UPDATE outbox SET kept = 0 WHERE seq = ? RETURNING 1", seq)
        await it.put_back(2)
        await it.start(2)
        await it.settle()
        assert await it.fate(1, gone) == ("in_doubt", "restored")
        assert await it.fate(1, kept) == ("delivered", None)
        assert kept in await it.received(2)
        assert [error["data"]["code"] for error in errors(it.at[1])] == ["restored"]
        assert await it.at[1].rows("SELECT fate, code FROM dead_letters") == [("in_doubt", "restored")]


async def test_a_restored_root_forgets_its_queue_and_the_origins_fill_it_again(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(0)
        await trio.sleep(30)
        await it.stop(2)
        waiting = await it.send(1, 2, "a", "b")
        lost = await it.send(1, 0, "for the root")
        await trio.sleep(10)
        assert await it.at[0].one("SELECT sum(envelopes) FROM forward") == 2
        await it.put_back(0)
        await it.start(0, 2)
        await it.settle()
        assert (await it.received(2))[1:] == waiting
        assert await it.received(0) == lost
        for id_ in (*waiting, *lost):
            assert await it.fate(1, id_) == ("delivered", None)


async def test_what_a_restored_root_had_in_its_queue_is_asked_for_again_and_stands_there_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.stop(2)
        [waiting] = await it.send(1, 2, "waits at the root")
        await trio.sleep(5)
        await it.save(0)
        await trio.sleep(10)
        await it.put_back(0)
        (it.home(0) / RESTORED_FILE).write_bytes(b"")
        await it.start(0)
        await trio.sleep(20)
        assert await it.at[0].one("SELECT sum(envelopes) FROM forward") == 1
        assert await it.at[1].one("SELECT put_back FROM outbox") == 1
        await it.start(2)
        await it.settle()
        assert await it.received(2) == [waiting]
        assert await it.fate(1, waiting) == ("delivered", None)


async def test_what_a_restored_root_acknowledges_for_the_first_time_is_sent_to_it_again(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Its copy has what came in, and forgets with the rest of its queue to whom that was to go."""
    async with town(tmp_path) as it:
        await it.stop(2)
        it.world.net.part(key(0), key(1), one_way=True)
        [waiting] = await it.send(1, 2, "stored at the root, and its ack is lost")
        await trio.sleep(1)
        await it.save(0)
        assert await it.at[1].one("SELECT state FROM outbox") == "numbered"
        await it.put_back(0)
        it.world.net.heal()
        (it.home(0) / RESTORED_FILE).write_bytes(b"")
        await it.start(0, 2)
        await it.settle()
        assert await it.received(2) == [waiting]
        assert await it.fate(1, waiting) == ("delivered", None)


async def test_a_restored_root_that_had_routed_more_is_shown_it_and_burns_its_invites(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        first = await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(0)
        await trio.sleep(30)
        second = await it.send(1, 2, "a", "b")
        await trio.sleep(10)
        await it.put_back(0)
        await it.start(0)
        third = await it.send(1, 2, "c")
        await it.settle()
        assert await it.received(2) == [*first, *second, *third]
        assert [life for life, _ in await it.lives(0)] == [2]
        assert it.at[0].book.burns == 1
        assert await it.at[2].one("SELECT count(*) FROM lineages WHERE node = ?", key(0)) == 2


async def test_a_restored_root_that_had_enrolled_more_is_shown_its_roster_and_goes_on_from_there(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.stop(1)
        before = it.world.known
        it.world.known = roster(1, 2, 3, version=2, revoked={3: 5})
        waiting = await it.send(2, 1, "waits at the root")
        await trio.sleep(5)
        assert before[0].version == it.at[0].book.roster()[0].version == 1
        await it.start(1)
        await it.settle()
        assert it.at[0].book.roster() == it.world.known, "nobody whom it had revoked is a member again"
        assert it.at[0].book.burns == 1
        assert await it.lives(0) == [(2, "roster")]
        assert await it.received(1) == waiting


async def test_a_root_that_lost_everything_but_its_key_is_told_by_all(tmp_path: Path, autojump_clock: object) -> None:
    async with town(tmp_path) as it:
        first = await it.send(1, 2, "a")
        back = await it.send(2, 1, "b")
        await trio.sleep(5)
        await it.stop(2)
        waiting = await it.send(1, 2, "waits at the root")
        own = await it.send(1, 0, "for the root")
        await trio.sleep(5)
        assert await it.received(0) == own
        await it.lose(0)
        await it.start(0, 2)
        await it.settle()
        assert await it.received(2) == [*first, *waiting]
        assert await it.received(1) == back
        assert await it.received(0) == own, "it comes once more: this memory never had it"
        for id_ in (*first, *waiting, *own):
            assert await it.fate(1, id_) == ("delivered", None)


async def test_a_sibling_that_lost_everything_but_its_key_gets_all_that_is_retained(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        sent = [*(await it.send(1, 2, "a", "b")), *(await it.send(0, 2, "c"))]
        await trio.sleep(5)
        await it.lose(2)
        await it.start(2)
        await it.settle()
        assert sorted(await it.received(2)) == sorted(sent)


async def test_both_ends_that_were_marked_by_restore_lose_nothing_that_a_third_remembers(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(0)
        await it.save(2)
        await trio.sleep(330)
        lost = await it.send(1, 2, "a", "b")
        await trio.sleep(5)
        for number in (0, 2):
            await it.put_back(number)
            (it.home(number) / RESTORED_FILE).write_bytes(b"")
        await it.start(0, 2)
        await it.settle()
        assert (await it.received(2))[1:] == lost
        for number in (0, 2):
            assert (await it.lives(number))[0] == (2, "restore")
            assert not (it.home(number) / RESTORED_FILE).exists()


async def test_a_database_that_knows_less_than_the_file_beside_it_was_restored(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.save(1)
        (it.home(1) / RESTORED_FILE).write_bytes(b"")
        await it.stop(1)
        await it.start(1)
        await it.settle()
        assert await it.lives(1) == [(2, "restore")]
        await it.put_back(1, lives=True)
        await it.start(1)
        await it.settle()
        assert await it.lives(1) == [(3, "lives")]
        await it.stop(1)
        await it.start(1)
        await it.settle()
        assert await it.lives(1) == [(3, "lives")]


async def test_a_cloned_home_is_recognised_and_frozen_on_both_sides(tmp_path: Path, autojump_clock: object) -> None:
    async with town(tmp_path) as it:
        await it.send(1, 2, "before")
        await trio.sleep(5)
        await it.save(1)
        (it.home(1) / RESTORED_FILE).write_bytes(b"")  # the copy stays as it was, and this one goes on
        await it.stop(1)
        await it.start(1)
        await it.settle()
        await it.put_back(1)
        await it.start(1)
        await it.send(1, 2, "from the clone")
        await trio.sleep(30)
        assert len(await it.received(2)) == 1
        [trouble] = [one["trouble"] for one in it.at[0].links.status() if one["name"] == "netsky1"]
        assert "copy" in trouble
        assert "cloned" in it.at[1].links.status()[0]["trouble"]
        # Whoever has looked says which of them goes on.
        (it.home(1) / RESTORED_FILE).write_bytes(b"")
        await it.stop(1)
        await it.start(1)
        await it.settle()
        assert len(await it.received(2)) == 2


async def test_what_a_restored_sender_takes_for_unsent_and_expired_is_never_called_dead_if_it_arrived(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        await it.stop(0)
        [sent] = await it.send(1, 2, "short-lived", expires_in_ns=HOUR // 60)
        await it.save(1)
        await it.start(0)
        await trio.sleep(10)
        assert await it.received(2) == [sent]
        await it.stop(0)
        await trio.sleep(120)
        await it.put_back(1)
        await it.start(1)
        await trio.sleep(30)
        assert await it.at[1].one("SELECT state FROM outbox") == "open", "nobody has said yet what is known of it"
        await it.start(0)
        it.at[0].takes_work = False
        await trio.sleep(30)
        assert await it.at[1].one("SELECT state FROM outbox") == "open", "nor while the root has no room for it"
        it.at[0].takes_work = True
        await it.settle()
        assert await it.fate(1, sent) == ("in_doubt", "restored")


async def test_what_a_restored_sender_sends_again_is_dead_only_by_its_destinations_first_word(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with town(tmp_path) as it:
        it.routes = ("agent0@netsky1 -> *@netsky2: *",)
        await it.stop(0)
        await it.start(0)
        await trio.sleep(10)
        await it.stop(0)
        nobody = [one.id for one in await it.at[1].send("agent9@netsky2", "is there anybody?")]
        arrived = await it.send(1, 2, "arrives")
        await it.save(1)
        await it.start(0)
        await trio.sleep(10)
        assert await it.fate(1, nobody[0]) == ("dead", "unknown_actor")
        await it.put_back(1)
        await it.start(1)
        await it.settle()
        assert await it.fate(1, nobody[0]) == ("dead", "unknown_actor"), "as its destination had stored it"
        assert await it.fate(1, arrived[0]) == ("delivered", None)
        # Once more, and the root lets it pass no longer: that is not the whole truth about what has arrived.
        it.routes = ()
        await it.stop(0)
        await it.put_back(1, lives=True)  # twice the same memory would be a copy
        await it.start(0, 1)
        await it.settle()
        assert await it.fate(1, arrived[0]) == ("in_doubt", "restored")
        assert await it.received(2) == arrived


@pytest.mark.parametrize("number", [1, 0], ids=["at its origin", "at the root"])
async def test_what_a_peer_cannot_take_three_times_is_dead_and_what_stands_behind_it_goes_on(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async with town(tmp_path) as it:
        really, spoilt = PeerStore.persist, []

        async def persist(store: PeerStore, records: Sequence[Record]) -> None:
            await really(store, records)
            hit = [one for one in records if isinstance(one, Numbered) and one.source in {"own", "forward"}]
            if hit and store._ways is it.at[number].links._ways and not spoilt:
                spoilt.append(hit)
                await it.at[number].rows("UPDATE flight SET seal = zeroblob(200) RETURNING 1")
                raise NetskyError("and the connection breaks", next="nothing")

        monkeypatch.setattr(PeerStore, "persist", persist)
        next_one = 0 if number == 1 else 2
        await it.stop(next_one)  # what waits for its link gets its number by it
        [bad] = await it.send(1, 2, "a")
        await it.start(next_one)
        await trio.sleep(0.5)
        [good] = await it.send(1, 2, "b")
        await it.settle()
        assert spoilt
        assert await it.received(2) == [good]
        assert await it.fate(1, bad) == ("dead", "damaged")
        assert await it.fate(1, good) == ("delivered", None)
        assert [error["data"]["code"] for error in errors(it.at[1])] == ["damaged"]
        assert await it.lives(number) == [(2, "damaged")]
        assert it.at[0].links.queues.load(key(2)) == Load()


@pytest.mark.parametrize("number", [0, 1])
async def test_what_was_sealed_in_the_reign_before_goes_on_in_the_next_under_a_new_life(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async with town(tmp_path) as it:
        before = await it.send(1, 2, "before")
        await it.settle()
        really = PeerStore.persist
        cut: list[Record] = []

        async def persist(store: PeerStore, records: Sequence[Record]) -> None:
            await really(store, records)
            hit = [one for one in records if isinstance(one, Numbered) and one.source in {"own", "forward"}]
            if store._ways is it.at[number].links._ways and (hit or cut):
                cut.extend(hit)
                raise NetskyError("and the connection breaks", next="nothing")

        monkeypatch.setattr(PeerStore, "persist", persist)
        next_one = 0 if number == 1 else 2
        await it.stop(next_one)  # what waits for its link gets its number by it
        waiting = await it.send(1, 2, "numbered, sealed, and not sent")
        await it.start(next_one)
        await trio.sleep(1)
        assert cut
        assert await it.at[number].one("SELECT count(*) FROM flight") == 1
        await it.stop(0, 1, 2)
        monkeypatch.setattr(PeerStore, "persist", really)
        it.reign = 2
        crowned = replace(it.world.known[0], reign=2, version=2)
        it.world.known = crowned, seal_roster(crowned, private_key(0).sign)
        await it.start(0, 1, 2)
        await it.settle()
        assert await it.received(2) == [*before, *waiting]
        assert await it.fate(1, waiting[0]) == ("delivered", None)
        assert await it.lives(number) == [(2, "reign")]
        await it.stop(number)
        await it.start(number)
        assert await it.lives(number) == [(2, "reign")], "once for each reign"


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_whoever_is_restored_while_all_send_everything_ends_once(
    tmp_path: Path, autojump_clock: object, number: int
) -> None:
    async with town(tmp_path) as it:
        sent: dict[int, list[str]] = {1: [], 2: []}
        for turn in range(12):
            if turn == 3:
                await it.save(number)
            if turn == 8:
                await it.put_back(number)
                await it.start(number)
            for origin, to in ((1, 2), (2, 1)):
                made = await it.send(origin, to, *(f"{turn} {at}" for at in range(20)))
                if number != origin or not 3 <= turn < 8:  # else only the lost disk may have known it
                    sent[origin] += made
            await trio.sleep(0.3)
        await it.settle(120)
        for origin, to in ((1, 2), (2, 1)):
            there = await it.received(to)
            assert len(there) == len(set(there))
            assert set(sent[origin]) <= set(there)
            for id_ in sent[origin]:
                assert await it.fate(origin, id_) == ("delivered", None)
