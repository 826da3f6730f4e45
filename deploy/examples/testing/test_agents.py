"""What happens to agents when machines fail, told as stories. Each test has a mesh of its own, in virtual time."""

from __future__ import annotations

import pytest
import trio
from agents import Printer, count_words, shout
from netsky.envelope.file import FileEnvelope
from netsky.node.errors import TimedOut
from netsky.node.lab.mesh import Mesh


async def test_an_agent_answers_although_its_machine_was_cut_off(mesh: Mesh) -> None:
    await mesh.agent("agent1@netsky2", count_words)
    await mesh.partition("netsky2")
    sent = await mesh.send("agent0@netsky0", "one two three", to="agent1@netsky2")
    await mesh.advance(60)
    assert await mesh.inbox("agent0@netsky0") == []

    await mesh.heal()

    assert (await mesh.outcome(sent)).delivered
    assert (await mesh.reply(sent)).text == "3 words"


async def test_a_worker_that_dies_in_the_middle_does_its_work_once(mesh: Mesh) -> None:
    printer, handed = Printer(), []

    async def print_slowly(envelope: FileEnvelope) -> str:
        handed.append(envelope.id)
        answer = await printer(envelope)
        await trio.sleep(30)  # printed, and not answered yet: here it dies
        return answer

    await mesh.agent("worker1@netsky2", print_slowly)
    sent = await mesh.send("agent0@netsky0", "the report", to="worker1@netsky2")
    await mesh.advance(10)
    await mesh.crash("netsky2")
    await mesh.start("netsky2")

    assert (await mesh.reply(sent)).text == "printed: the report"
    assert handed == [sent.id, sent.id]
    assert printer.printed == ["the report"]


async def test_a_machine_with_a_full_disk_holds_up_nobody_else(mesh: Mesh) -> None:
    await mesh.agent("agent1@netsky1", count_words)
    await mesh.agent("agent1@netsky2", count_words)
    await mesh.fill_disk("netsky2")
    late = await mesh.send("agent0@netsky0", "one two", to="agent1@netsky2")
    soon = await mesh.send("agent0@netsky0", "one", to="agent1@netsky1")

    assert (await mesh.reply(soon, seconds=5)).text == "1 words"
    with pytest.raises(TimedOut):
        await mesh.outcome(late, seconds=60)

    await mesh.heal()
    assert (await mesh.reply(late)).text == "2 words"


async def test_a_resident_agent_misses_nothing_wherever_its_node_is_killed(mesh: Mesh) -> None:
    await mesh.agent("agent1@netsky2", resident=shout)
    sent = [await mesh.send("agent0@netsky0", word, to="agent1@netsky2") for word in ("one", "two", "three")]
    await mesh.crash("netsky2", calls=40)
    await mesh.start("netsky2")

    assert [(await mesh.reply(one)).text for one in sent] == ["ONE", "TWO", "THREE"]


async def test_what_a_restored_machine_has_forgotten_is_told_to_it_again(mesh: Mesh) -> None:
    backup = await mesh.backup("netsky2")
    sent = await mesh.send("agent0@netsky0", "hello", to="agent0@netsky2")
    assert (await mesh.outcome(sent)).delivered
    await mesh.restore("netsky2", backup)

    assert (await mesh.take("agent0@netsky2")).text == "hello"
