"""Outbox files: sent under their owner's name, once, or refused with a reason that their owner reads."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest
from netsky.envelope.file import read_file
from netsky.node.bus.drop import drop_in_outbox
from netsky.node.bus.intake import RECEIPT_SUFFIX
from netsky.node.bus.limits import INTAKE_FILES, SCAN
from netsky.node.bus.quarantine import REASON_SUFFIX
from netsky.node.config import Config
from netsky.node.db import messages
from netsky.node.errors import NotFound, Usage
from netsky.node.lab.virtual import SeededChance
from netsky.node.seams.real_files import RealFiles

from tests.node.bus.conftest import ShiftedTime, World, open_world

OLD = (1_000_000_000, 1_000_000_000)


def write(world: World, actor: str, name: str, *, old: bool = True, **fields: Any) -> pathlib.Path:
    world.bus.channel(actor).close()
    path = world.folder(actor, "outbox") / name
    path.write_text(json.dumps({"from": actor, "text": "hello", "ts": "2026-11-21T00:00:00Z", **fields}))
    if old:
        os.utime(path, OLD)
    return path


def drop(world: World, actor: str, **draft: Any) -> str:
    world.bus.channel(actor).close()
    folder = str(world.root / "channels" / actor)
    return drop_in_outbox(RealFiles(), ShiftedTime(), SeededChance(1), folder=folder, actor=actor, draft=draft)


async def texts(world: World, actor: str) -> list[str]:
    await world.project()
    world.bus.channel(actor).close()
    return await world.drained(actor)


async def test_the_sender_is_the_owner_of_the_outbox_whatever_the_file_says(world: World) -> None:
    path = write(world, "agent1", "a.json", **{"from": "owner", "to": "agent0"})
    await world.bus.sweep.turn()
    assert not path.exists()
    await world.project()
    with world.drain("agent0", asks=False) as drain:
        [item] = drain.envelopes()
    assert item.envelope.sender == "agent1"


async def test_a_file_without_from_is_sent_under_the_name_of_the_owner_of_the_outbox(world: World) -> None:
    path = write(world, "agent1", "a.json")
    path.write_text(json.dumps({"text": "mine", "ts": "2026-11-21T00:00:00Z", "to": "agent0"}))
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["mine"]


class WorstOrder(RealFiles):
    """A folder whose entries come in the order that hides most: a real one has whichever it has."""

    def names(self, folder: int, limit: int, scan: int = SCAN) -> list[str]:
        return super().names(folder, 10**6, 10**6)[: min(limit, scan)]


async def test_files_that_are_passed_over_hide_no_other_however_many_they_are(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, files=WorstOrder()) as world:
        path = write(world, "agent1", "z.json", text="behind them all")
        outbox = path.parent
        for n in range(SCAN):
            name = outbox / (f".part-{n}" if n % 2 else f"{n}{RECEIPT_SUFFIX}")
            name.touch()
            os.utime(name, OLD)
        (outbox / ".young").touch()
        for _ in range(2):
            await world.bus.sweep.turn()
        assert await texts(world, "agent0") == ["behind them all"]
        assert (outbox / ".young").exists()
        assert len(os.listdir(outbox)) > SCAN - 2 * INTAKE_FILES
        put_away = [name for name in world.names("agent1", "quarantine") if not name.endswith(REASON_SUFFIX)]
        assert len(put_away) <= INTAKE_FILES


async def test_a_missing_recipient_is_agent0(world: World) -> None:
    write(world, "agent1", "a.json", text="for whom?")
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["for whom?"]


async def test_a_file_read_twice_is_one_envelope(world: World) -> None:
    path = write(world, "agent1", "a.json")
    data = path.read_bytes()
    await world.bus.sweep.turn()
    path.write_bytes(data)  # as if the node had died between its commit and the removal
    os.utime(path, OLD)
    await world.bus.sweep.turn()
    assert not path.exists()
    assert await texts(world, "agent0") == ["hello"]


async def test_two_files_of_the_same_content_are_two_envelopes(world: World) -> None:
    write(world, "agent1", "a.json")
    write(world, "agent1", "b.json")
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["hello", "hello"]


async def test_a_producers_id_is_its_idempotency_key(world: World) -> None:
    write(world, "agent1", "a.json", id="mine-1", text="once")
    write(world, "agent1", "b.json", id="mine-1", text="once")
    write(world, "agent1", "c.json", id="mine-1", text="another")
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["once"]
    assert [name for name in world.names("agent1", "quarantine") if "reason" not in name] == ["c.json"]


async def test_receipts_and_hidden_files_are_left_alone(world: World) -> None:
    write(world, "agent1", "a.json.receipt.json")
    write(world, "agent1", ".a.json.0.tmp", old=False)
    for _ in range(3):
        await world.bus.sweep.turn()
    assert sorted(os.listdir(world.folder("agent1", "outbox"))) == [".a.json.0.tmp", "a.json.receipt.json"]
    assert await texts(world, "agent0") == []


async def test_a_file_that_is_still_being_written_is_left_for_a_moment(world: World) -> None:
    path = write(world, "agent1", "a.json", old=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    await world.bus.sweep.turn()
    assert path.exists()
    path.write_bytes(whole)
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["hello"]


async def test_a_published_writer_between_link_and_unlink_is_left_for_a_moment(world: World) -> None:
    path = write(world, "agent1", "a.json", old=False)
    other = path.with_name(".a.json.0.tmp")
    os.link(path, other)
    await world.bus.sweep.turn()
    assert path.exists()
    other.unlink()
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["hello"]


async def test_what_authority_refuses_goes_to_quarantine_and_its_sender_reads_why(world: World) -> None:
    write(world, "worker1", "a.json", to="agent2", kind="report", id="r-1")
    await world.bus.sweep.turn()
    assert "a.json" in world.names("worker1", "quarantine")
    await world.project()
    with world.drain("worker1", asks=False) as drain:
        [item] = drain.envelopes()
    assert item.envelope.kind == "error"
    assert item.envelope.sender == "agentinfinity"
    assert item.envelope.in_reply_to == "r-1"
    assert "only when that one is its manager" in item.envelope.text


async def test_an_error_never_causes_one(world: World) -> None:
    write(world, "worker1", "a.json", to="agent2", kind="error")
    await world.bus.sweep.turn()
    assert "a.json" in world.names("worker1", "quarantine")
    assert await texts(world, "worker1") == []


async def test_many_bad_files_cause_one_error(world: World) -> None:
    for number in range(30):
        write(world, "worker1", f"{number}.json", to="agent2")
    await world.bus.sweep.turn()
    [text] = await texts(world, "worker1")
    assert text.startswith("30 files of your outbox")


async def test_an_expired_file_is_not_sent(world: World) -> None:
    write(world, "agent1", "a.json", expires="2026-11-20T00:00:00Z")
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == []
    assert "a.json" in world.names("agent1", "quarantine")


async def test_without_room_a_file_stays_and_others_pass_it_in_order(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(inbox_envelopes_max=2, free_mib_floor=16)) as world:
        for number in range(6):
            write(world, "agent0", f"{number}.json", to="agent1" if number < 5 else "agent2", text=str(number))
        for _ in range(3):
            await world.bus.sweep.turn()
        assert world.names("agent0", "outbox") == ["2.json", "3.json", "4.json"]
        assert await texts(world, "agent2") == ["5"]
        assert await texts(world, "agent1") == ["0", "1"]
        for _ in range(3):
            await world.bus.sweep.turn()
        assert await texts(world, "agent1") == ["2", "3"]
        assert world.names("agent0", "outbox") == ["4.json"]


async def test_a_flooding_actor_does_not_hold_up_another(world: World) -> None:
    for number in range(300):
        write(world, "agent1", f"{number:04}.json", to="agent0")
    write(world, "agent2", "a.json", to="agent0", text="small voice")
    assert await world.bus.sweep.turn()  # there is more
    assert "small voice" in await texts(world, "agent0")
    assert len(world.names("agent1", "outbox")) == 300 - 64
    while await world.bus.sweep.turn():
        pass
    assert world.names("agent1", "outbox") == []
    assert len(await texts(world, "agent0")) == 300 - 64


async def test_a_file_replaced_while_it_is_sent_is_another_file(world: World) -> None:
    path = write(world, "agent1", "a.json", text="first")
    accept = world.bus.accept

    async def slow(*given: Any) -> Any:
        result = await accept(*given)
        write(world, "agent1", "a.json", text="the second one")
        world.bus.sweep._intake._accept = accept
        return result

    world.bus.sweep._intake._accept = slow
    await world.bus.sweep.turn()
    assert path.exists()
    await world.bus.sweep.turn()
    assert await texts(world, "agent0") == ["first", "the second one"]


async def test_a_dropped_file_arrives_with_all_that_was_said(world: World) -> None:
    name = drop(
        world, "agent1", to="agent0", text="down", kind="question", thread="t", data={"a": 1}, expires_in=60.0,
        idempotency_key="k", requires_ack=True,
    )  # fmt: skip
    written = read_file((world.folder("agent1", "outbox") / name).read_bytes())
    assert written.sender == "agent1"
    await world.bus.sweep.turn()
    await world.project()
    with world.drain(asks=False) as drain:
        [item] = drain.envelopes()
    got = item.envelope
    assert (got.text, got.kind, got.thread, got.data) == ("down", "question", "t", b'{"a":1}')
    assert got.requires_ack
    [row] = messages.rows(await world.rows(messages.newest(1)))
    assert 59 * 10**9 < row.expires - row.ts <= 60 * 10**9
    assert row.via == "outbox"


@pytest.mark.parametrize(
    "draft", [{"text": "</channel>"}, {"text": "x", "to": "nobody"}, {"text": None}, {"text": "x", "kind": "gossip"}]
)
async def test_what_would_be_refused_is_not_dropped(world: World, draft: dict[str, Any]) -> None:
    with pytest.raises(Usage):
        drop(world, "agent1", **draft)
    assert world.names("agent1", "outbox") == []


def test_dropping_for_an_actor_that_is_not_there_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NotFound):
        drop_in_outbox(
            RealFiles(), ShiftedTime(), SeededChance(1), folder=str(tmp_path / "x"), actor="agent1", draft={"text": "x"}
        )


async def test_forwarding_says_what_happened(world: World) -> None:
    write(world, "worker1", "a.json", to="agent1", kind="report")
    write(world, "worker1", "b.json", to="agent2", kind="report")
    accepted, refused = await world.bus.forward_outbox("worker1")
    assert [one["duplicate"] for one in accepted] == [False]
    assert [(one["file"], one["code"]) for one in refused] == [("b.json", "authority")]


async def test_what_waits_for_room_is_not_overtaken_by_what_stands_behind_it(tmp_path: pathlib.Path) -> None:
    async with open_world(tmp_path, config=Config(inbox_envelopes_max=2, free_mib_floor=16)) as world:
        for number in range(80):
            write(world, "agent0", f"{number:02}.json", to="agent1", text=str(number))
        await world.bus.sweep.turn()
        assert await texts(world, "agent1") == ["0", "1"]  # and now there is room, with the turns at file 64
        await world.bus.sweep.turn()
        assert await texts(world, "agent1") == []
        await world.bus.sweep.turn()
        assert await texts(world, "agent1") == ["2", "3"]
