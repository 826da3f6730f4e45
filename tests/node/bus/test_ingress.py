"""What a link brings: stored once by (origin, id), and ended with a code where it cannot be delivered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope import batch as seals
from netsky.envelope.batch import ZERO_MESH
from netsky.envelope.fields import Body, Header
from netsky.envelope.limits import DAY_NS
from netsky.envelope.wire import encode_body, encode_header
from netsky.mesh.outcome import Fate
from netsky.node.bus.ingress import Incoming, Ingressed
from netsky.node.bus.limits import INGRESS_RESERVE
from netsky.node.db import messages, outcomes

from tests.node.bus.conftest import Identity, World

ORIGIN = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN_KEY = ORIGIN.public_key().public_bytes_raw()


def header(world: World, name: str = "id-1", **more: Any) -> Header:
    now = world.time.wall()
    made = Header(
        v=1, id=name, origin=ORIGIN_KEY, sender="agent0@netsky1", destination=Identity().key, to="agent0@netsky0",
        kind=None, in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False,
        ts=now, clock=now, expires=now + DAY_NS, parent=None,
    )  # fmt: skip
    return replace(made, **more)


def incoming(headers: list[Header], bodies: list[Body] | None = None, first: int = 1) -> list[Incoming]:
    bodies = bodies or [Body("from afar")] * len(headers)
    stated = [seals.Statement(encode_header(h), encode_body(b)) for h, b in zip(headers, bodies, strict=True)]
    batch = seals.seal(ORIGIN.sign, ORIGIN_KEY, "envelope", ZERO_MESH, stated)
    leaves = seals.leaves(batch)
    return [
        Incoming(batch, at, h, b, leaves[at], 1, 1, first + at)
        for at, (h, b) in enumerate(zip(headers, bodies, strict=True))
    ]


async def take_in(world: World, items: list[Incoming]) -> list[Ingressed]:
    results = await world.group.submit_many(world.bus.ingress, items)
    assert all(isinstance(result, Ingressed) for result in results)
    return results  # type: ignore[return-value]


def said(fate: Fate, code: str | None, *, new: bool, conflict: bool = False) -> Ingressed:
    return Ingressed(fate, code, 0, new, conflict)


def without_time(results: list[Ingressed]) -> list[Ingressed]:
    assert all(result.at > 0 for result in results)
    return [result._replace(at=0) for result in results]


async def test_what_arrives_is_delivered_with_its_proof_and_outcome(world: World) -> None:
    [item] = incoming([header(world)])
    assert without_time(await take_in(world, [item])) == [said("delivered", None, new=True)]
    await world.project()
    with world.drain(asks=False) as drain:
        [got] = drain.envelopes()
    assert got.envelope.sender == "agent0@netsky1"
    assert got.envelope.proof is not None
    assert (got.envelope.proof.origin, got.envelope.proof.leaf) == (ORIGIN_KEY, item.leaf)
    assert (got.envelope.proof.life, got.envelope.proof.number) == (1, 1)
    [row] = outcomes.rows(await world.rows(outcomes.find([outcomes.key_of(ORIGIN_KEY, "id-1")])))
    assert (row.fate, row.leaf, row.ender) == ("delivered", item.leaf, Identity().key)
    [message] = messages.rows(await world.rows(messages.by_id("id-1")))
    assert message.via == "link"


async def test_a_second_arrival_changes_nothing_whatever_its_number(world: World) -> None:
    first = incoming([header(world)])
    await take_in(world, first)
    assert without_time(await take_in(world, [first[0]._replace(number=9, life=4)])) == [
        said("delivered", None, new=False)
    ]
    await world.project()
    assert len(world.names("agent0", "inbox")) == 1


async def test_a_second_arrival_within_one_group_changes_nothing(world: World) -> None:
    [item] = incoming([header(world)])
    assert [one.new for one in await take_in(world, [item, item._replace(number=2)])] == [True, False]
    await world.project()
    assert len(world.names("agent0", "inbox")) == 1


async def test_the_same_id_with_another_content_is_refused_and_stands_out(world: World) -> None:
    at = header(world)
    await take_in(world, incoming([at]))
    [other] = incoming([at], [Body("something else")])
    assert without_time(await take_in(world, [other])) == [said("dead", "other_content", new=False, conflict=True)]
    await world.project()
    assert await world.drained() == ["from afar"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"to": "agent9@netsky0"}, "unknown_actor"),
        ({"to": "agent0@netsky3"}, "address"),
        ({"sender": "agent0"}, "address"),
        ({"sender": "worker1@netsky1", "to": "agent1@netsky0"}, "authority"),
        ({"sender": "agent0@netsky0", "to": "worker1@netsky0"}, "authority"),
    ],
)
async def test_what_cannot_be_delivered_ends_with_a_code(world: World, more: dict[str, Any], code: str) -> None:
    [item] = incoming([header(world, **more)])
    assert without_time(await take_in(world, [item])) == [said("dead", code, new=True)]
    found = outcomes.rows(await world.rows(outcomes.find([outcomes.key_of(ORIGIN_KEY, "id-1")])))
    assert [row.code for row in found] == [code]
    assert await world.rows(messages.by_id("id-1")) == []


async def test_on_a_sibling_the_root_has_asked_the_table(world: World) -> None:
    world.bus.ingress._is_root = False
    [item] = incoming([header(world, sender="worker1@netsky1", to="agent1@netsky0")])
    assert without_time(await take_in(world, [item])) == [said("delivered", None, new=True)]


async def test_what_expired_on_the_way_is_dead_and_stays_dead(world: World) -> None:
    now = world.time.wall()
    [item] = incoming([header(world, ts=now - 10, expires=now - 1)])
    assert without_time(await take_in(world, [item])) == [said("dead", "expired", new=True)]
    world.time.ahead = -3_600 * 10**9
    assert without_time(await take_in(world, [item])) == [said("dead", "expired", new=False)]


async def test_a_flood_from_afar_ends_at_the_reserve(world: World) -> None:
    world.bus.ingress._config = lambda: world.bus.sweep._config().__class__(inbox_envelopes_max=1)
    world.bus.ingress._is_root = False
    items: list[Incoming] = []
    for first in range(0, INGRESS_RESERVE + 64, 64):
        items += incoming([header(world, f"id-{n}") for n in range(first, first + 64)], first=first + 1)
    results = await take_in(world, items)
    assert sum(result.fate == "delivered" for result in results) == INGRESS_RESERVE + 1
    assert {result.code for result in results if result.fate == "dead"} == {"inbox_full"}


async def test_what_comes_by_link_and_what_is_sent_here_share_a_group_and_no_number(world: World) -> None:
    items = incoming([header(world, "from-afar-1"), header(world, "from-afar-2")])
    groups = world.group.statistics().groups
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_in, world, items)
        nursery.start_soon(world.send)
    assert world.group.statistics().groups == groups + 1
    await world.project()
    assert sorted(await world.drained()) == ["from afar", "from afar", "hello"]
