"""`trace` on the three nodes that an envelope passes, with clocks that differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from netsky.node.bus.draft import Draft
from netsky.node.daemon.caller import Caller
from netsky.node.db import actors
from netsky.node.db.actors import ActorRow
from netsky.node.errors import NotFound
from netsky.node.lab.network import MemoryNetwork
from netsky.node.lab.virtual import EPOCH_NS, SeededChance, VirtualTime
from netsky.node.seams.ledger import Row, Statement
from netsky.node.verbs.args import Args
from netsky.node.verbs.proof import proof
from netsky.node.verbs.trace import trace_verb

from tests.node.stations import Station, key, roster, seams_with, station

SECOND = 10**9
LINES = ("agent0@netsky1 -> *@netsky2: *", "agent0@netsky2 -> agent0@netsky1: reply")
OPERATOR = Caller("operator", None)


class Reader:
    """The reading connection, on the ledger's: a thread would not wait for a virtual clock."""

    def __init__(self, made: Station) -> None:
        self._made = made

    async def rows(self, statement: Statement) -> list[Row]:
        [found] = await self._made.ledger.transaction([statement])
        return found


def node_of(made: Station) -> Any:
    """What the verbs ask of a node."""
    return SimpleNamespace(
        ledger=made.ledger, identity=made.identity, links=made.links, membership=made.book, reader=Reader(made)
    )


async def trace(made: Station, id: str, caller: Caller = OPERATOR) -> dict[str, Any]:  # noqa: A002
    return await trace_verb(node_of(made), caller, Args("trace", {"id": id}))


def steps(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["step"], step["clock"]) for step in answer["steps"]]


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in answer["steps"]}


def elsewhere(answer: dict[str, Any]) -> list[str]:
    return [other["node"] for other in answer["elsewhere"]]


class Mesh:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.net = MemoryNetwork()
        self.known = roster(1, 2)

    def one(self, number: int, ahead: int = 0) -> Any:
        """A life of this node; its clock is so many seconds ahead."""
        seams = seams_with(self.net, time=VirtualTime(EPOCH_NS + ahead * SECOND), chance=SeededChance(number))
        return station(
            Station(
                self.folder / str(number), number, seams, self.known,
                bind=f"memory:{40 + number}", root_at="memory:40", routes=LINES if number == 0 else (),
            )
        )  # fmt: skip

    @asynccontextmanager
    async def three(self, *ahead: int) -> AsyncIterator[tuple[Station, Station, Station]]:
        skews = (*ahead, 0, 0, 0)
        async with self.one(0, skews[0]) as root, self.one(1, skews[1]) as one, self.one(2, skews[2]) as two:
            await trio.sleep(5)  # so that the clocks were compared
            yield root, one, two


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


async def test_the_origin_knows_every_step_up_to_the_inbox_and_names_who_knows_the_rest(
    mesh: Mesh, autojump_clock: object
) -> None:
    async with mesh.three() as (_, one, _two):
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        found = await trace(one, sent.id)
        assert sorted(steps(found)) == sorted(
            [
                *(("queued", "netsky1"), ("sealed", "netsky1"), ("numbered", "netsky1"), ("at the root", "netsky0")),
                *(("acked", "netsky1"), ("routed", "netsky0"), ("stored", "netsky2"), ("outcome", "netsky1")),
            ]
        )
        order = [name for name, _ in steps(found) if name != "acked"]
        assert order == ["queued", "sealed", "numbered", "at the root", "routed", "stored", "outcome"]
        assert (found["outcome"], elsewhere(found)) == ("delivered", ["netsky2"])
        assert by_name(found)["at the root"]["offset_ns"] is not None
        assert by_name(found)["stored"]["offset_ns"] is None


@pytest.mark.parametrize(
    "skews", [(-3_600, 0, 0), (3_600, 0, 0), (0, 0, -40), (0, 0, 50), (100, -100, 200), (0, 90, 0)]
)
async def test_no_step_is_negative_whoevers_clock_is_wrong(
    mesh: Mesh, autojump_clock: object, skews: tuple[int, ...]
) -> None:
    async with mesh.three(*skews) as (root, one, two):
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        for made in (root, one, two):
            found = await trace(made, sent.id)
            times = [step["here"] for step in found["steps"] if step["here"] is not None]
            assert times == sorted(times)
            assert times[-1] - times[0] < 3 * SECOND or made is two, "clocks that were measured are no detours"
        root_step = by_name(await trace(one, sent.id))["at the root"]
        assert root_step["at"] == pytest.approx(EPOCH_NS + (5 + skews[0]) * SECOND, abs=3 * SECOND)
        assert root_step["offset_ns"] == pytest.approx((skews[0] - skews[1]) * SECOND, abs=SECOND)
        stored = by_name(await trace(one, sent.id))["stored"]
        off = skews[2] - skews[1]
        assert stored["bound"] == (">=" if off < 0 else "<=" if off > 0 else "")
        assert stored["skew_ns"] == pytest.approx(off * SECOND, abs=2 * SECOND)


async def test_the_destination_knows_what_the_route_told_it_and_its_own_steps(
    mesh: Mesh, autojump_clock: object
) -> None:
    async with mesh.three() as (_, one, two):
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        [answer] = await two.send("agent0@netsky1", "hi", kind="reply", in_reply_to=sent.id)
        await trio.sleep(1)
        found = await trace(two, sent.id)
        assert steps(found)[:4] == [
            *(("queued", "netsky1"), ("at the root", "netsky0"), ("routed", "netsky0"), ("stored", "netsky2")),
        ]
        assert {"outcome", "projected", "answered", "claimed", "taken"} <= set(by_name(found))
        assert by_name(found)["routed"]["detail"] == "by roster version 1"
        assert elsewhere(found) == ["netsky1"]
        assert answer.id in by_name(await trace(one, sent.id))["answered"]["detail"]


async def test_the_root_tells_where_something_waits_and_that_it_was_handed_on(
    mesh: Mesh, autojump_clock: object
) -> None:
    async with mesh.one(0) as root, mesh.one(1) as one:
        await trio.sleep(1)
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        waits = await trace(root, sent.id)
        assert steps(waits)[:1] == [("at the root", "netsky0")]
        assert by_name(waits)["routed"] | {"at": None} == by_name(waits)["routed"]
        assert by_name(waits)["routed"]["detail"] == "waits here for netsky2"
        assert (waits["from"], waits["to"], waits["via"]) == ("agent0@netsky1", "agent0@netsky2", "passed")
        there = by_name(await trace(one, sent.id))
        assert there["at the root"]["at"] is None, "its time comes back with the outcome"
        assert there["acked"]["at"] is not None
        assert "netsky0" in elsewhere(await trace(one, sent.id))
        async with mesh.one(2):
            await trio.sleep(6)
            gone = await trace(root, sent.id)
            assert "no longer here" in by_name(gone)["at the root"]["detail"]
            assert elsewhere(gone) == ["netsky1", "netsky2"]


async def test_the_root_tells_what_it_refused_and_says_how_long_it_knows(mesh: Mesh, autojump_clock: object) -> None:
    async with mesh.three() as (root, one, _):
        await one.group.write([actors.put(ActorRow("agent1", (), "none", None, False, True, {}, 0))])
        [sent] = await one.send("agent0@netsky2", "may I?", sender="agent1")
        await trio.sleep(1)
        found = await trace(root, sent.id)
        assert (found["outcome"], found["code"]) == ("dead", "authority")
        assert by_name(await trace(one, sent.id))["ended"]["clock"] == "netsky0"
        with pytest.raises(NotFound, match="a week or 20,000 frames"):
            await trace(root, "nobody-knows-it")
        with pytest.raises(NotFound):
            await trace(root, sent.id, Caller("actor", "agent0"))


async def test_an_actor_sees_its_own_ways_alone(mesh: Mesh, autojump_clock: object) -> None:
    async with mesh.three() as (_, one, two):
        [sent] = await one.send("agent0@netsky2", "hello")
        await trio.sleep(1)
        for made in (one, two):
            assert (await trace(made, sent.id, Caller("actor", "agent0")))["id"] == sent.id
            for verb in (trace_verb, proof):
                with pytest.raises(NotFound):
                    await verb(node_of(made), Caller("actor", "agent1"), Args("trace", {"id": sent.id}))


async def test_a_frame_of_many_is_one_row_at_the_root_and_each_of_it_is_found(
    mesh: Mesh, autojump_clock: object
) -> None:
    async with mesh.three() as (root, one, _):
        drafts = [Draft("agent0@netsky2", str(at)) for at in range(64)]
        sent = cast("list[Any]", await one.bus.accept("agent0", "actor", drafts))
        await trio.sleep(2)
        assert await root.one("SELECT count(*) FROM passed") == 1
        for accepted in (sent[0], sent[31], sent[63]):
            assert (await trace(root, accepted.id))["origin"] == key(1).hex()
        with pytest.raises(NotFound):
            await trace(root, sent[0].id[:-1])


async def test_a_proof_shows_an_actor_the_chain_above_its_own_and_nothing_by_naming_it(
    mesh: Mesh, autojump_clock: object
) -> None:
    async with mesh.one(1) as one:
        await one.group.write(
            [actors.put(ActorRow(n, (), "none", None, False, True, {}, 0)) for n in ("agent1", "agent2")]
        )
        [first] = await one.send("agent1", "a secret")
        [second] = await one.send("agent2", "do it", sender="agent1", parent=first.id)
        [named] = await one.send("agent0", "look", sender="agent2", parent=first.id)

        async def asked(id: str, caller: Caller) -> dict[str, Any]:  # noqa: A002
            return await proof(node_of(one), caller, Args("proof", {"id": id}))

        answer = await asked(second.id, Caller("actor", "agent2"))
        assert [cause["id"] for cause in answer["causes"]] == [first.id]
        assert b"a secret".hex() not in str(answer)
        answer = await asked(named.id, Caller("actor", "agent2"))
        assert (answer["causes"], answer["missing"]) == ([], first.id)
        assert [cause["id"] for cause in (await asked(named.id, OPERATOR))["causes"]] == [first.id]
