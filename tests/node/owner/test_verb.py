"""The verb `owner`: who may, what it answers, and what bad input gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.limits import TEXT_BYTES_MAX
from netsky.node.bus.draft import Accepted, Draft
from netsky.node.daemon.caller import OPERATOR, Caller
from netsky.node.errors import Conflict, NetskyError, NotFound, Refused, TimedOut, Usage
from netsky.node.owner.asks import Ask, data_of
from netsky.node.owner.limits import OTHERWISE_BYTES_MAX

from tests.node.owner.office import AGENT0, DAY, HOUR, MINUTE, WORKER, Building, Office
from tests.node.test_relay import add

AGENT1 = Caller("actor", "agent1", fenced=True)


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path)


async def refused(office: Office, kind: type[NetskyError], code: str, do: str, **args: Any) -> NetskyError:
    with pytest.raises(kind) as found:
        await office.say(do, **args)
    assert found.value.code == code, found.value.message
    assert found.value.next
    return found.value


async def test_who_may_what(building: Building, autojump_clock: object) -> None:
    async with building.open() as office, office.sibling() as two:
        asked = await office.ask(two)
        await trio.sleep(2)
        for caller in (AGENT1, WORKER):
            for do, args in (("inbox", {}), ("show", {"id": asked}), ("take", {"ids": [asked]})):
                await refused(office, Refused, "not_the_owner", do, caller=caller, **args)
        for do, args in (("send", {"text": "hi"}), ("reply", {"id": asked, "text": "yes"})):
            for caller in (AGENT0, AGENT1, WORKER):
                error = await refused(office, Refused, "not_the_owner", do, caller=caller, **args)
                assert error.exit == 5
        for do, args in (("inbox", {}), ("send", {"text": "hi"}), ("reply", {"id": asked, "text": "yes"})):
            error = await refused(office, Refused, "not_the_root", do, at=two, **args)
            assert "the owner is at netsky0 alone, and this is netsky2" in error.message
        with pytest.raises(Refused, match="cannot speak as agent1"):
            await office.ask(two, WORKER, **{"from": "agent1"})
        assert await office.answers(asked) == []


async def test_an_actor_sees_its_own_asks_and_no_others(building: Building, autojump_clock: object) -> None:
    async with building.open() as office, office.sibling() as two:
        mine = await office.ask(two)
        await add(two, "worker2")
        await office.ask(two, Caller("actor", "worker2"))
        await office.send("owner@netsky0", "no ask at all", at=two, caller=WORKER, kind="question")
        await trio.sleep(2)
        await office.say("reply", id=mine, text="yes")
        await trio.sleep(2)
        assert (await office.say("asks", caller=WORKER, at=two))["asks"] == []
        [ask] = (await office.say("asks", caller=WORKER, at=two, all=True))["asks"]
        assert (ask["id"], ask["from"], ask["answer"]["text"]) == (mine, "worker1@netsky2", "yes")
        with pytest.raises(NotFound):
            await office.say("answer", caller=Caller("actor", "worker2"), at=two, id=mine, wait_s=0)
        assert len((await office.say("asks"))["asks"]) == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"otherwise": " \n"}, "no_otherwise"),
    ({"otherwise": "x" * (OTHERWISE_BYTES_MAX + 1)}, "otherwise_too_long"),
    ({"within": 30}, "deadline_past"),
    ({"within": 0, "deadline": 1}, "deadline_past"),
    ({"within": 31 * DAY}, "deadline_far"),
    ({"text": "  "}, "empty_message"),
    ({"text": "x" * (TEXT_BYTES_MAX + 1)}, "text_too_large"),
    ({"within": -1}, "bad_argument"),
    ({"otherwise": None}, "bad_argument"),
    ({"colour": "red"}, "bad_argument"),
]


@pytest.mark.parametrize(("args", "code"), BAD, ids=[f"{code}-{at}" for at, (_, code) in enumerate(BAD)])
async def test_a_bad_ask_is_refused_with_a_sentence(
    building: Building, autojump_clock: object, args: dict[str, Any], code: str
) -> None:
    async with building.open(desk=False) as office:
        said = {"text": "drop it?", "within": HOUR, "otherwise": "keep it"} | args
        await refused(office, Usage, code, "ask", caller=AGENT0, **said)
        assert await office.root.one("SELECT count(*) FROM messages") == 0


async def test_what_is_no_item_of_the_owner_is_not_answered(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        [other] = await office.root.send("agent1", "not for the owner")
        for said in ("", "nothing", other.id, "x y", "%"):
            await refused(office, NotFound, "unknown_item", "reply", id=said, text="yes")
        await refused(office, Usage, "empty_message", "reply", id=other.id, text="\t")


async def test_a_beginning_that_several_items_have_is_told_and_not_chosen(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        for text in ("one", "two"):
            await office.root.send("owner", text, kind="report")
        ids = [item["id"] for item in (await office.say("inbox"))["items"]]
        error = await refused(office, Usage, "id_not_unique", "show", id=ids[0][:8])
        assert ids[0] in error.message
        assert (await office.say("show", id=ids[0]))["text"] == "one"


async def test_two_nodes_that_use_one_id_are_told_apart_by_their_names(
    building: Building, autojump_clock: object
) -> None:
    """Else a sibling that knows the id of another one's ask could get the owner's yes, or spoil it."""
    async with building.open(desk=False) as office, office.sibling(1) as one, office.sibling(2) as two:
        for node in (one, two):
            data = data_of(Ask(office.root.seams.time.wall() + 60 * MINUTE * 10**9, "keep it"))
            draft = Draft("owner@netsky0", node.identity.name, kind="question", id="the-same", data=data)
            [answer] = await node.bus.accept("worker1", "outbox", [draft])
            assert isinstance(answer, Accepted)
        await trio.sleep(2)
        error = await refused(office, Usage, "id_not_unique", "reply", id="the-same", text="yes")
        assert "the-same@netsky1, the-same@netsky2" in error.message
        said = {"kind": "reply", "in_reply_to": "the-same", "from": "owner"}
        await office.send("worker1@netsky2", "no", **said)
        with pytest.raises(Conflict):
            await office.say("reply", id="the-same@netsky2", text="yes")
        for at in range(5):  # ids that begin with all of another one hide nothing
            await office.root.bus.accept("agent1", "outbox", [Draft("owner", "?", kind="report", id=f"the-same{at}")])
        [still] = (await office.say("asks"))["asks"]
        assert still["from"] == "worker1@netsky1"
        assert (await office.say("reply", id="the-same@netsky1", text="yes"))["to"] == "worker1@netsky1"
        assert (await office.say("asks"))["asks"] == []


async def test_agent0_takes_no_item_of_its_own(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        await office.root.send("owner", "all is done", kind="report")
        [item] = (await office.say("inbox", peek=True))["items"]
        await refused(office, Refused, "own_item", "take", caller=AGENT0, ids=[item["id"]])
        taken = await office.say("take", ids=[item["id"]])
        assert (taken["by"], taken["open_asks"]) == ("operator", [])
        assert (await office.say("inbox"))["items"] == []


async def test_an_ask_that_the_owner_is_done_with_still_ends_at_its_deadline(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.asked(within=HOUR)
        assert [one["id"] for one in (await office.say("take", ids=[asked]))["open_asks"]] == [asked]
        assert (await office.say("inbox"))["items"] == []
        await trio.sleep(HOUR + MINUTE)
        assert office.pages == []
        assert [answer[:8] for answer in await office.answers(asked)] == ["deadline"]


async def test_the_owners_words_have_a_thread_and_the_answer_stands_beside_the_question(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        sent = await office.say("send", text="how many words?")
        other = await office.say("send", text="and now?")
        assert sent["thread"] != other["thread"]
        with pytest.raises(TimedOut) as waited:
            await office.say("answer", id=sent["id"], wait_s=5)
        assert waited.value.exit == 6
        said = {"kind": "reply", "in_reply_to": sent["id"], "caller": AGENT0}
        await office.send("owner", "142", **said)  # type: ignore[arg-type]
        got = await office.say("answer", id=sent["id"], wait_s=5)
        assert got["answer"]["text"] == "142"
        [item] = (await office.say("inbox", peek=True))["items"]
        assert (item["question"], item["text"]) == ("how many words?", "142")
        assert item["seen_at"] is not None  # whoever waited for it has read it
        more = await office.say("send", text="sure?", in_reply_to=item["id"])
        [(header, thread)] = await office.root.rows("SELECT in_reply_to, thread FROM messages WHERE id = ?", more["id"])
        assert (header, thread) == (item["id"], more["thread"])


async def test_an_ask_repeated_under_its_key_is_one_ask(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        first = await office.say("ask", caller=AGENT0, text="?", within=HOUR, otherwise="no", idempotency_key="k")
        await trio.sleep(MINUTE)
        again = await office.say("ask", caller=AGENT0, text="?", within=HOUR, otherwise="no", idempotency_key="k")
        assert (again["id"], again["duplicate"], again["ask"]) == (first["id"], True, first["ask"])
        with pytest.raises(NetskyError, match="was used by agent0 for another message"):
            await office.say("ask", caller=AGENT0, text="??", within=HOUR, otherwise="no", idempotency_key="k")


@pytest.mark.parametrize(
    "data",
    [
        {"ask": 5}, {"ask": {}}, {"ask": {"deadline": "soon", "otherwise": "x"}},
        {"ask": {"deadline": True, "otherwise": "x"}}, {"ask": {"deadline": 1, "otherwise": "x"}},
        {"ask": {"deadline": 1 << 62, "otherwise": "x"}}, {"ask": {"deadline": 0}}, {"asks": {}},
    ],
    ids=json.dumps,
)  # fmt: skip
async def test_what_only_looks_like_an_ask_is_a_question_without_an_end(
    building: Building, autojump_clock: object, data: dict[str, Any]
) -> None:
    async with building.open(desk=False) as office:
        await office.root.send("owner", "well?", kind="question", data=data)
        await office.look()
        [item] = (await office.say("inbox"))["items"]
        assert item["ask"] is None
        await office.look(40 * DAY)
        assert await office.root.one("SELECT count(*) FROM messages WHERE sender = 'owner'") == 0


async def test_who_waits_for_something_new_hears_of_it_at_once(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        got: list[tuple[float, int]] = []

        async def waits(caller: Caller, peek: bool) -> None:
            data = await office.say("inbox", caller=caller, peek=peek, wait_s=HOUR)
            got.append((trio.current_time(), len(data["items"])))

        await office.root.send("owner", "my own report", kind="report")
        await office.say("inbox")
        await office.root.send("owner", "my own words")
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, AGENT0, False)
            await trio.sleep(MINUTE)
            await office.root.send("owner", "red", kind="report", sender="agent1")
        assert got == [(pytest.approx(begun + MINUTE, abs=2), 3)]
        [item] = [one for one in (await office.say("inbox", peek=True))["items"] if one["text"] == "red"]
        await office.say("take", caller=AGENT0, ids=[item["id"]])
        await waits(AGENT0, False)  # nothing new: it waits its time, and is shown what is there
        assert got[1] == (pytest.approx(begun + MINUTE + HOUR, abs=5), 3)
        await waits(OPERATOR, True)  # the owner has not seen it yet
        assert got[2][0] - got[1][0] < 2


async def test_a_snapshot_names_the_most_pressing_first(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        await office.root.send("owner", "r", kind="report")
        await office.root.send("owner", "q", kind="question")
        await office.ask(office.root, AGENT0, text="late", within=2 * HOUR)
        await office.ask(office.root, AGENT0, text="soon", within=HOUR)
        await office.root.send("owner", "e", kind="escalation")
        await office.root.send("owner", "t")
        data = await office.say("inbox", peek=True)
        assert [item["text"] for item in data["items"]] == ["e", "soon", "late", "q", "r", "t"]
        assert (data["waiting"], data["new"], data["asks"]) == (6, 6, 2)
        assert len((await office.say("inbox", limit=2))["items"]) == 2
        assert (await office.say("inbox", peek=True))["new"] == 4
        await refused(office, Usage, "bad_argument", "inbox", limit=0)
        await refused(office, Usage, "usage", "dance")
