"""The door: what is stored, what is refused, and what a second call gets."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from netsky.envelope.batch import Batch, Statement, verify_batch
from netsky.envelope.limits import DAY_NS, EXPIRES_REPLY_NS, EXPIRES_WORK_NS
from netsky.envelope.wire import decode_header
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.config import Config
from netsky.node.db import messages, outbox
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, TryLater, Usage
from netsky.node.seams.ledger import LedgerFull

from tests.node.bus.conftest import PEER, Identity, World, open_world


async def header_of(world: World, of: str) -> Any:
    [row] = messages.rows(await world.rows(messages.by_id(of)))
    assert row.header is not None
    return decode_header(row.header)


async def test_an_accepted_envelope_has_its_row_before_it_has_its_file(world: World) -> None:
    accepted = await world.send(text="first")
    assert await world.state("agent0", accepted.file) == "committed"
    assert not world.folder("agent0", "inbox").exists() or world.names("agent0", "inbox") == []
    await world.project()
    assert world.names("agent0", "inbox") == [accepted.file]
    assert await world.state("agent0", accepted.file) == "projected"
    assert world.told.arrivals == ["agent0"]


async def test_one_seal_covers_a_lane_of_a_group_and_proves_each_envelope(world: World) -> None:
    drafts = [Draft(to="agent0", text=str(n), kind="reply" if n % 2 else "text") for n in range(10)]
    results = await world.bus.accept("owner", "operator", drafts)
    rows = [messages.rows(await world.rows(messages.by_id(r.id)))[0] for r in results if isinstance(r, Accepted)]
    assert len(rows) == 10
    assert len({row.seal for row in rows}) == 2
    for row in rows:
        found = await world.rows(messages.seals_by_hash([row.seal or b""]))
        [seal] = messages.seals(found)
        leaves = [seal.leaves[at : at + 32] for at in range(0, len(seal.leaves), 32)]
        statements: list[Any] = list(leaves)
        statements[row.position] = Statement(row.header or b"", row.body or b"")
        assert verify_batch(Batch(1, seal.type, seal.mesh, seal.signer, seal.signature, tuple(statements))) is None
        assert leaves[row.position] == row.leaf


async def test_the_same_key_and_body_gets_the_first_answer(world: World) -> None:
    first = await world.send(text="once", idempotency_key="k")
    second = await world.send(text="once", idempotency_key="k")
    assert (second.id, second.leaf, second.clock, second.file) == (first.id, first.leaf, first.clock, first.file)
    assert (first.duplicate, second.duplicate) == (False, True)
    await world.project()
    assert len(world.names("agent0", "inbox")) == 1


async def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    await world.send(text="once", idempotency_key="k")
    with pytest.raises(Conflict) as caught:
        await world.send(text="twice", idempotency_key="k")
    assert caught.value.code == "idempotency_conflict"


async def test_within_one_group_a_key_makes_one_envelope(world: World) -> None:
    drafts = [Draft(to="agent0", text="same", idempotency_key="k")] * 3
    first, second, third = await world.bus.accept("owner", "operator", [*drafts])
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert isinstance(third, Accepted)
    assert first.id == second.id == third.id
    assert [first.duplicate, second.duplicate, third.duplicate] == [False, True, True]


async def test_a_key_belongs_to_its_sender(world: World) -> None:
    one = await world.send("agent1", "x", "agent0", idempotency_key="k")
    other = await world.send("agent0", "y", "agent1", idempotency_key="k")
    assert one.id != other.id


async def test_a_key_whose_first_use_was_refused_is_free(world: World) -> None:
    with pytest.raises(NotFound):
        await world.send("agent9", "x", "agent0", idempotency_key="k")
    assert not (await world.send("agent1", "x", "agent0", idempotency_key="k")).duplicate


async def test_an_unknown_actor_is_named_with_the_command_that_makes_it(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        await world.send("agent9", "x", "agent0")
    assert caught.value.next == "netsky agent add agent9"


async def test_an_unknown_node_is_not_found(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        await world.send("agent0@netsky8", "x", "agent0")
    assert caught.value.code == "unknown_node"
    with pytest.raises(Refused, match="netsky9 was revoked"):
        await world.send("agent0@netsky9", "x", "agent0")


async def test_the_owner_is_told_who_passes_his_words_on(world: World) -> None:
    with pytest.raises(Refused) as caught:
        await world.send("agent0@netsky7", "x", "owner")
    assert "--from agent0" in caught.value.next


@pytest.mark.parametrize(
    ("sender", "to", "kind", "refused"),
    [
        ("agent1", "worker1", "brief", False),
        ("agent2", "worker1", "brief", True),  # not its manager
        ("agent0", "worker2", "brief", False),  # no manager named: agent0
        ("worker1", "agent1", "report", False),
        ("worker1", "agent2", "report", True),
        ("worker1", "worker2", "text", True),
        ("agent1", "agent2", "brief", True),
        ("agent1", "agent2", "text", False),
        ("agentcron", "agent0", "cron", False),
        ("agentcron", "agent0", "text", True),
        ("owner", "agent1", "text", True),
        ("agent0", "agent1", "outcome", True),
    ],
)
async def test_the_authority_table_is_asked(world: World, sender: str, to: str, kind: str, refused: bool) -> None:
    [result] = await world.bus.accept(sender, "actor", [Draft(to=to, text="x", kind=kind)])
    assert isinstance(result, Refused if refused else Accepted), result


async def test_a_full_inbox_refuses_work_and_still_takes_replies(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(inbox_envelopes_max=10, free_mib_floor=16)) as world:
        results = await world.bus.accept("owner", "operator", [Draft(to="agent0", text="x")] * 12)
        assert [getattr(result, "code", "ok") for result in results] == ["ok"] * 10 + ["inbox_full"] * 2
        assert isinstance(results[-1], TryLater)
        await world.send(kind="reply")
        await world.project()
        await world.drained()
        await world.send()


async def test_low_disk_refuses_and_heals_without_a_restart(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(free_mib_floor=1 << 40)) as world:
        with pytest.raises(TryLater) as caught:
            await world.send()
        assert caught.value.code == "disk_low"
    async with open_world(tmp_path) as world:
        await world.send()


async def test_a_full_database_is_try_later_and_nothing_is_half_there(world: World) -> None:
    real, full = world.ledger.transaction, True

    async def transaction(statements: Any) -> Any:
        if full and any("INSERT INTO messages" in statement.sql for statement in statements):
            raise LedgerFull("no room")
        return await real(statements)

    world.ledger.transaction = transaction  # type: ignore[method-assign]
    with pytest.raises(TryLater) as caught:
        await world.send(idempotency_key="k")
    assert caught.value.code == "disk_full"
    full = False
    assert not (await world.send(idempotency_key="k")).duplicate
    await world.project()
    assert len(world.names("agent0", "inbox")) == 1


async def test_the_clock_never_runs_behind_a_cause(world: World) -> None:
    world.time.ahead = 60 * 10**9
    cause = await world.send(text="from a fast clock")
    world.time.ahead = 0
    effect = await world.send("owner", "answer", "agent0", kind="reply", in_reply_to=cause.id)
    assert effect.clock > cause.clock
    assert not effect.skewed


async def test_a_cause_far_in_the_future_is_not_followed(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        world.time.ahead = DAY_NS
        cause = await world.send(text="from a wrong clock")
    async with open_world(tmp_path) as world:
        world.bus.planner.door.clock = 0  # as if that had come from elsewhere
        effect = await world.send("owner", "answer", "agent0", kind="reply", in_reply_to=cause.id)
        assert effect.skewed
        assert effect.clock < cause.clock


async def test_the_clock_only_rises_over_a_restart_with_the_wall_set_back(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path) as world:
        world.time.ahead = 3_600 * 10**9
        before = await world.send()
    async with open_world(tmp_path) as world:
        assert (await world.send()).clock > before.clock


async def test_expiry_follows_the_lane(world: World) -> None:
    work = await header_of(world, (await world.send(kind="brief")).id)
    reply = await header_of(world, (await world.send(kind="reply")).id)
    said = await header_of(world, (await world.send(expires_in_ns=5)).id)
    assert work.expires - work.ts == EXPIRES_WORK_NS
    assert reply.expires - reply.ts == EXPIRES_REPLY_NS
    assert said.expires - said.ts == 5


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"text": "x" * 50_000}, "text_too_large"),
        ({"text": "\x01" * 12_000}, "too_large_escaped"),
        ({"text": "</channel>"}, "wrapper_token"),
        ({"kind": "gossip"}, "kind_unknown"),
        ({"to": "nobody"}, "address_invalid"),
        ({"expires_in_ns": 31 * DAY_NS}, "expires_range"),
        ({"expires_in_ns": 0}, "expires_range"),
        ({"idempotency_key": "with space"}, "token_invalid"),
        ({"in_reply_to": "x" * 65}, "token_invalid"),
        ({"id": "-x"}, "id_invalid"),
        ({"data": {"n": 2**70}}, "number_range"),
    ],
)
async def test_a_bad_field_is_named_and_stops_no_neighbour(world: World, more: dict[str, Any], code: str) -> None:
    bad = Draft(**{"to": "agent0", "text": "x", **more})
    good, refused, also_good = await world.bus.accept(
        "owner", "operator", [Draft(to="agent0", text="a"), bad, Draft(to="agent0", text="b")]
    )
    assert isinstance(refused, Usage)
    assert refused.code == code
    assert isinstance(good, Accepted)
    assert isinstance(also_good, Accepted)


async def test_what_goes_to_another_node_stands_in_the_outbox_with_full_addresses(world: World) -> None:
    accepted = await world.send("agent0@netsky7", "over there", "agent0")
    assert accepted.destination == PEER
    assert accepted.file is None
    assert world.told.outgoing == [(PEER, "work")]
    [row] = outbox.rows(await world.rows(outbox.open_entries(PEER, "work", 10)))
    header = decode_header(row.header)
    assert (header.sender, header.to) == ("agent0@netsky0", "agent0@netsky7")
    assert header.origin == Identity().key


async def test_ones_own_node_by_name_is_local(world: World) -> None:
    accepted = await world.send("agent1@netsky0", "here", "agent0")
    assert accepted.file is not None
    assert (await header_of(world, accepted.id)).to == "agent1"


async def test_requires_ack_and_carried_fields_are_stored(world: World) -> None:
    accepted = await world.send(requires_ack=True, thread="t", swarm="s", parent="p", data={"b": 1, "a": 2})
    header = await header_of(world, accepted.id)
    assert (header.requires_ack, header.thread, header.swarm, header.parent) == (True, "t", "s", "p")


async def test_files_sort_in_the_order_of_acceptance(world: World) -> None:
    results = await world.bus.accept("owner", "operator", [Draft(to="agent0", text=str(n)) for n in range(100)])
    await world.project()
    files = [result.file for result in results if not isinstance(result, NetskyError)]
    assert world.names("agent0", "inbox") == files
    assert await world.drained() == [str(n) for n in range(100)]
