"""The owner's traffic over whole nodes: what comes for the owner, who is told of it, and what becomes of asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.envelope.wire import decode_body
from netsky.node.cli.ordered import who_ordered
from netsky.node.cli.sealed import ProofBytes, open_seal
from netsky.node.cli.trust import Trust
from netsky.node.errors import Conflict
from netsky.node.verbs.args import Args
from netsky.node.verbs.proof import proof

from tests.node.owner.office import AGENT0, DAY, HOUR, MINUTE, WORKER, Building
from tests.node.stations import key, roster
from tests.node.test_delivery import take
from tests.node.test_relay import revoke


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path)


async def test_a_report_from_netsky2_stands_in_the_owners_inbox_under_its_true_origin(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office, office.sibling(1):
        await office.wrote("the build is red")
        [item] = (await office.say("inbox"))["items"]
        assert (item["from"], item["origin"]) == ("worker1@netsky2", key(2).hex())
        assert (item["kind"], item["text"], item["waits"]) == ("report", "the build is red", True)


async def test_what_agent0_takes_in_time_is_not_paged_for(building: Building, autojump_clock: object) -> None:
    async with building.open() as office:
        await office.wrote("the build is red")
        await trio.sleep(9 * MINUTE)
        [item] = (await office.say("inbox", caller=AGENT0))["items"]
        [item] = (await office.say("inbox", caller=AGENT0))["items"]
        assert item["seen_at"] is None  # what agent0 was shown the owner has not seen
        await office.say("take", caller=AGENT0, ids=[item["id"]])
        await trio.sleep(3 * HOUR)
        assert office.pages == []
        assert (await office.say("show", id=item["id"]))["taken_by_agent0_at"] is not None


async def test_what_nobody_looks_at_is_paged_for_once_by_code_after_ten_minutes(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        sent = await office.wrote("the build is red")
        await trio.sleep(9 * MINUTE)
        assert office.pages == []
        await trio.sleep(3 * HOUR)
        await office.look(2 * DAY)
        [page] = office.pages
        assert 10 * MINUTE <= page.at - sent < 10 * MINUTE + 5
        assert page.subject == "netsky: report from worker1@netsky2"
        assert "> the build is red\n" in page.body
        assert page.severity == "normal"


async def test_what_the_owner_has_seen_is_not_paged_for_and_a_peek_is_no_look(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        for text in ("seen", "peeked at"):
            await office.wrote(text)
            await office.say("inbox", peek=text != "seen")
        await trio.sleep(1 * HOUR)
        [page] = office.pages
        assert "> peeked at" in page.body
        assert "> seen" not in page.body


async def test_ten_items_of_one_minute_are_one_page_and_the_next_one_keeps_its_distance(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        for at in range(10):
            await office.wrote(f"report {at}", number=1 + at % 2)
        await trio.sleep(11 * MINUTE)
        await office.wrote("one more")
        await trio.sleep(HOUR)
        first, second = office.pages
        assert first.subject == "netsky: 10 reports for you"
        assert "and 2 more" in first.body
        assert second.at - first.at >= 15 * MINUTE
        assert second.body.count("> ") == 1


async def test_an_escalation_is_paged_for_at_once_and_a_storm_of_them_twelve_times_an_hour(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        await office.wrote("fire", kind="escalation")
        assert [page.severity for page in office.pages] == ["urgent"]
        assert office.pages[0].subject == "netsky: escalation from worker1@netsky2"
        for _ in range(60):
            await office.wrote("fire", kind="escalation")
            await trio.sleep(55)
        await trio.sleep(HOUR)
        assert 11 <= len(office.pages) <= 13
        assert await office.root.one("SELECT count(*) FROM owner_items WHERE page IS NULL") == 0


async def test_an_escalation_waits_for_no_page_that_could_wait(building: Building, autojump_clock: object) -> None:
    async with building.open() as office:
        await office.wrote("a report")
        await trio.sleep(10 * MINUTE)
        await office.wrote("fire", kind="escalation")
        assert [page.severity for page in office.pages] == ["normal", "urgent"]


async def test_the_owners_answer_is_sealed_and_goes_back_to_the_asker_alone(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        async with office.sibling(1) as one, office.sibling(2) as two:
            asked = await office.ask(two)
            await trio.sleep(2)
            [item] = (await office.say("inbox"))["items"]
            assert item["ask"]["otherwise"] == "keep it"
            replied = await office.say("reply", id=asked[:20], text="Drop it.")
            assert (replied["answers"], replied["to"]) == (asked, "worker1@netsky2")
            await trio.sleep(2)
            assert await office.answers(asked, two) == [replied["id"]]
            assert await office.answers(asked, one) == []
            [(body, sealed)] = await two.rows("SELECT body, seal IS NOT NULL FROM messages WHERE id = ?", replied["id"])
            assert (decode_body(body).text, sealed) == ("Drop it.", 1)
            got = await office.say("answer", caller=WORKER, at=two, id=asked, wait_s=1)
            assert (got["answer"]["text"], got["answer"]["data"]["by"]) == ("Drop it.", "owner")
        await trio.sleep(3 * HOUR)  # its deadline passes and nothing happens
        assert await office.answers(asked) == [replied["id"]]
        assert office.pages == []
        assert (await office.say("inbox"))["items"] == []


async def test_at_the_deadline_happens_what_was_said_to_happen_without_an_answer(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.asked()
        await trio.sleep(2 * HOUR)
        async with office.sibling() as two:
            [answer] = await office.answers(asked, two)
            assert answer.startswith("deadline-")
            [(body, sender)] = await two.rows("SELECT body, sender FROM messages WHERE id = ?", answer)
            assert sender == "owner@netsky0"
            assert decode_body(body).text == "keep it"
            assert json.loads(decode_body(body).data or b"")["by"] == "deadline"
        with pytest.raises(Conflict, match=r"its deadline is over, and netsky0 answered just now.*keep it"):
            await office.say("reply", id=asked, text="Drop it.")
        assert await office.answers(asked) == [answer]
        [done] = (await office.say("asks", all=True))["asks"]
        said = done["answer"]
        assert (said["by"], said["text"], said["late_seconds"]) == ("deadline", "keep it", 0)


async def test_an_ask_is_paged_for_while_there_is_time_and_once_more_before_its_end(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        begun = trio.current_time()
        await office.asked(text="first")
        await office.asked(text="second")
        await trio.sleep(3 * HOUR)
        first, call = office.pages
        assert 10 * MINUTE <= first.at - begun < 11 * MINUTE
        assert 90 * MINUTE <= call.at - begun < 91 * MINUTE
        assert first.subject == "netsky: 2 questions for you, answer within 1 hour 50 min"
        assert call.subject == "netsky: 2 last calls for you, answer within 30 min"
        assert call.body.count("netsky owner reply") == 2


async def test_of_a_short_ask_half_the_time_is_left_when_the_owner_is_paged(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        begun = trio.current_time()
        await office.asked(within=16 * MINUTE)
        await trio.sleep(HOUR)
        [page] = office.pages  # the last call is so near that it is one with the first
        assert 8 * MINUTE <= page.at - begun <= 8 * MINUTE + 10


async def test_agent0_that_takes_an_ask_and_sleeps_silences_nobody(building: Building, autojump_clock: object) -> None:
    async with building.open() as office:
        begun = trio.current_time()
        asked = await office.asked()
        await office.say("take", caller=AGENT0, ids=[asked])
        await trio.sleep(3 * HOUR)
        [call] = office.pages
        assert 90 * MINUTE <= call.at - begun < 91 * MINUTE
        assert call.subject == "netsky: last call, question from worker1@netsky2, answer within 30 min"


@pytest.mark.parametrize("first", ["owner", "deadline"])
async def test_the_owner_and_the_deadline_race_and_one_wins(
    building: Building, autojump_clock: object, first: str
) -> None:
    async with building.open(desk=False) as office:
        refused = []
        asked = await office.asked(within=MINUTE)
        await office.look()
        await trio.sleep(MINUTE)

        async def reply() -> None:
            try:
                await office.say("reply", id=asked, text="Drop it.")
            except Conflict as late:
                refused.append(late)

        async with trio.open_nursery() as nursery:
            for task in (reply, office.look) if first == "owner" else (office.look, reply):
                nursery.start_soon(task)
                if first == "deadline":
                    await trio.sleep(0.5)
        await office.look()
        [answer] = await office.answers(asked)
        [done] = (await office.say("asks", all=True))["asks"]
        by = "deadline" if answer.startswith("deadline-") else "owner"
        assert done["answer"]["by"] == by
        assert len(refused) == (by == "deadline")
        if first == "deadline":
            assert by == "deadline"


async def test_whichever_way_the_owner_answers_there_is_one_answer(building: Building, autojump_clock: object) -> None:
    async with building.open(desk=False) as office:
        asked = await office.asked(within=MINUTE)
        await office.look()
        await trio.sleep(MINUTE)
        results: list[Any] = []

        async def owner_sends(text: str) -> None:
            said = {"kind": "reply", "in_reply_to": asked, "from": "owner"}
            try:
                results.append(await office.send("worker1@netsky2", text, **said))
            except Conflict as refused:
                results.append(refused)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(owner_sends, "yes")
            nursery.start_soon(owner_sends, "no")
            nursery.start_soon(office.look)
        await office.look()
        assert len(await office.answers(asked)) == 1
        assert sum(isinstance(one, Conflict) for one in results) >= 1


async def test_an_answer_said_twice_is_stored_once_and_another_one_is_refused(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        asked = await office.asked()
        first = await office.say("reply", id=asked, text="Drop it.")
        again = await office.say("reply", id=asked, text="Drop it.")
        assert (again["id"], again["duplicate"]) == (first["id"], True)
        office.time.jump_s = 31.0 * DAY  # the key of the answer is forgotten, and the answer is not
        with pytest.raises(Conflict, match="you answered it 31 days ago: Drop it") as refused:
            await office.say("reply", id=asked, text="Keep it.")
        assert refused.value.exit == 7
        await office.look(DAY)
        assert await office.answers(asked) == [first["id"]]


async def test_an_actor_of_netsky0_asks_and_is_answered_like_any_other(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.ask(office.root, AGENT0)
        await office.say("reply", id=asked, text="yes")
        assert (await office.say("answer", caller=AGENT0, id=asked, wait_s=1))["answer"]["text"] == "yes"
        late = await office.ask(office.root, AGENT0, within=2 * MINUTE)
        await trio.sleep(3 * MINUTE)
        assert (await office.say("answer", caller=AGENT0, id=late, wait_s=1))["answer"]["text"] == "keep it"


async def test_netsky0_asleep_over_a_deadline_fires_once_late_and_says_so(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.asked()
        await trio.sleep(MINUTE)
        office.time.jump_s = 5.0 * HOUR  # the steady clock of a machine that slept knows nothing of it
        await trio.sleep(MINUTE)
        assert await office.answers(asked) == []  # who has just woken may still answer
        await trio.sleep(10 * MINUTE)
        assert len(await office.answers(asked)) == 1
        [done] = (await office.say("asks", all=True))["asks"]
        assert 3 * HOUR <= done["answer"]["late_seconds"] < 3 * HOUR + 6 * MINUTE
        ended = [event for event in office.root.events.latest() if event["kind"] == "ask_ended"]
        assert [event["id"] for event in ended] == [asked]
        assert abs(ended[0]["late_seconds"] - done["answer"]["late_seconds"]) <= 1


async def test_a_deadline_that_passed_while_netsky0_was_down_fires_when_it_is_up(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.asked()
    await trio.sleep(DAY)
    async with building.open() as office:
        assert len(await office.answers(asked)) == 1
        [done] = (await office.say("asks", all=True))["asks"]
        assert 22 * HOUR <= done["answer"]["late_seconds"] < 23 * HOUR
    async with building.open() as office:
        assert len(await office.answers(asked)) == 1


async def test_after_a_start_agent0_has_two_minutes_before_anybody_is_paged(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        await office.wrote("came before")
        await office.wrote("burns", kind="escalation")
    await trio.sleep(HOUR)
    async with building.open(wait=0) as office:
        await trio.sleep(MINUTE)
        assert [page.severity for page in office.pages] == ["urgent"]
        for item in (await office.say("inbox", caller=AGENT0))["items"]:
            await office.say("take", caller=AGENT0, ids=[item["id"]])
        await trio.sleep(HOUR)
        assert len(office.pages) == 1


async def test_a_clock_that_was_wrong_for_a_minute_ends_no_ask(building: Building, autojump_clock: object) -> None:
    async with building.open() as office:
        asked = await office.asked()
        office.time.jump_s = 1.0 * DAY
        await trio.sleep(90)
        office.time.jump_s = 0.0
        await trio.sleep(HOUR)
        assert await office.answers(asked) == []
        await trio.sleep(HOUR)
        assert len(await office.answers(asked)) == 1


async def test_a_clock_set_back_an_hour_pages_nobody_twice_and_keeps_nobody_waiting(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        await office.wrote("one")
        await trio.sleep(20 * MINUTE)
        office.time.jump_s = -1.0 * HOUR
        await office.wrote("two")
        await trio.sleep(3 * HOUR)
        assert [("> one" in page.body, "> two" in page.body) for page in office.pages] == [(True, False), (False, True)]
        assert office.pages[1].at - office.pages[0].at < 30 * MINUTE


async def test_an_ask_that_comes_after_its_deadline_is_answered_all_the_same(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        asked = await office.asked(within=2 * MINUTE)
        await trio.sleep(HOUR)  # the desk hears of it only now
        await office.look()
        assert [answer[:9] for answer in await office.answers(asked)] == ["deadline-"]


async def test_a_page_that_does_not_go_out_is_tried_again_and_given_up_in_the_end(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        office.hook_fails = 2
        await office.wrote("first")
        await trio.sleep(30 * MINUTE)
        assert len(office.pages) == 1
        assert await office.root.rows("SELECT state, tries FROM owner_pages") == [("told", 3)]
        office.hook_fails = 99
        await office.wrote("second")
        await trio.sleep(3 * HOUR)
        assert (await office.root.rows("SELECT state, tries FROM owner_pages"))[1] == ("failed", 5)


async def test_a_page_that_waits_for_its_next_try_goes_nowhere_once_the_owner_has_looked(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        office.hook_fails = 1
        await office.wrote("first")
        await trio.sleep(10 * MINUTE + 10)
        await office.say("inbox")
        await trio.sleep(HOUR)
        assert office.pages == []
        assert await office.root.rows("SELECT state, tries FROM owner_pages") == [("moot", 1)]


async def test_a_page_made_before_the_node_died_goes_out_in_the_next_life_and_no_other(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        await office.wrote("the build is red")
        await trio.sleep(11 * MINUTE)
        await office.desk.look(office.root.seams.time.wall())
        assert await office.root.rows("SELECT state FROM owner_pages") == [("due",)]
    async with building.open() as office:
        await trio.sleep(HOUR)
        assert [page.key for page in office.pages] == ["owner/1"]


async def test_what_asks_nothing_leaves_the_inbox_by_itself_and_a_question_stays(
    building: Building, autojump_clock: object
) -> None:
    async with building.open(desk=False) as office:
        for kind in ("report", "escalation", "question"):
            await office.wrote(kind, kind=kind)
        await office.say("inbox")
        await office.wrote("never looked at")
        await office.look(2 * DAY)
        waiting = [(item["kind"], item["text"]) for item in (await office.say("inbox", peek=True))["items"]]
        assert waiting == [("question", "question"), ("report", "never looked at")]
        await office.look(9 * DAY)
        assert [item["kind"] for item in (await office.say("inbox", peek=True))["items"]] == ["question"]
        assert len((await office.say("inbox", all=True, peek=True))["items"]) == 4


@pytest.mark.parametrize("by", ["owner", "deadline"])
async def test_the_asker_can_prove_with_its_own_hands_whose_answer_it_got(
    building: Building, autojump_clock: object, by: str
) -> None:
    async with building.open() as office:
        asked = await office.asked(within=2 * MINUTE)
        if by == "owner":
            await office.say("reply", id=asked, text="Drop it.")
        await trio.sleep(3 * MINUTE)
        async with office.sibling() as two:
            [answer] = await office.answers(asked, two)
            node = office.as_node(two, WORKER)
            shown = ProofBytes.from_answer(await proof(node, WORKER, Args("proof", {"id": answer})))  # type: ignore[arg-type]
            trust = Trust(two.identity.charter, roster(1, 2)[0], two.identity.key)
            found = who_ordered(shown, open_seal(shown.batch, answer, None), trust, None)
    assert (found.answered, found.owner) == (by, by == "owner")
    said = " ".join(found.lines)
    assert "netsky0 (machine 0" in said
    assert f"it answers {asked}: question, worker1@netsky2 to owner@netsky0, sealed by netsky2" in said
    assert ("these are the owner's words" in said) == (by == "owner")
    assert (f"nobody had answered at the deadline of {asked}" in said) == (by == "deadline")


async def test_who_floods_the_owner_with_reports_keeps_no_escalation_out(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        office.root.config = replace(office.root.config, inbox_envelopes_max=12)
        await office.wrote("first question", kind="question")
        await office.wrote(*(f"report {at}" for at in range(11)), number=1)
        assert len((await office.say("inbox", peek=True))["items"]) == 12
        async with office.sibling() as two:
            await trio.sleep(11 * MINUTE)  # they are told, and so they make room
            await office.send("owner@netsky0", "fire", at=two, caller=WORKER, kind="escalation")
            await trio.sleep(5)
        left = [(item["kind"], item["text"]) for item in (await office.say("inbox"))["items"]]
        assert left[:2] == [("escalation", "fire"), ("question", "first question")]
        assert 6 <= len(left) <= 7
        assert "fire" in office.pages[-1].body


async def test_an_asker_that_was_revoked_is_told_by_nobody_and_nothing_is_tried_for_ever(
    building: Building, autojump_clock: object
) -> None:
    async with building.open() as office:
        asked = await office.asked(within=30 * MINUTE)
        await revoke(office.root, 2, 1, 2)
        await trio.sleep(HOUR)
        [done] = (await office.say("asks", all=True))["asks"]
        assert (done["id"], done["answer"]["by"], done["answer"]["id"]) == (asked, "deadline", None)
        assert "revoked" in done["answer"]["text"]


async def test_an_item_that_the_owner_drains_as_a_channel_is_seen(building: Building, autojump_clock: object) -> None:
    async with building.open() as office:
        await office.wrote("drained")
        asked = await office.asked()
        await take(office.root, "owner")
        await trio.sleep(3 * HOUR)
        assert [page for page in office.pages if "> drained" in page.body] == []
        assert len(await office.answers(asked)) == 1  # an ask ends at its deadline all the same
