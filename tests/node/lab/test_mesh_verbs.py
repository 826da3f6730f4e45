"""What a test may ask of a simulated mesh, each verb as a story; and that a seed decides all of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from netsky.envelope.file import FileEnvelope
from netsky.node.api import Node
from netsky.node.errors import NetskyError, NotFound, TimedOut, TryLater
from netsky.node.lab.chronicle import Chronicle
from netsky.node.lab.mesh import Mesh, Misused
from netsky.node.lab.trial import Broken, Trial, run_mesh

ROOT, ONE, TWO = "agent0@netsky0", "agent0@netsky1", "agent0@netsky2"


async def count_words(envelope: FileEnvelope) -> str:
    return f"{len(envelope.text.split())} words"


# People.


async def test_a_mailbox_is_looked_at_and_read(mesh: Mesh) -> None:
    for text in ("first", "second"):
        await mesh.outcome(await mesh.send(ROOT, text, to=ONE))
    assert [one.text for one in await mesh.inbox(ONE)] == ["first", "second"]
    assert [(await mesh.take(ONE)).text for _ in range(2)] == ["first", "second"]
    assert await mesh.inbox(ONE) == []


async def test_take_waits_for_what_comes(mesh: Mesh) -> None:
    async def send_later() -> None:
        await mesh.advance(60)
        await mesh.send(ROOT, "late", to=ONE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_later)
        assert (await mesh.take(ONE)).text == "late"


async def test_take_says_what_may_be_in_the_way(mesh: Mesh) -> None:
    await mesh.partition("netsky1")
    await mesh.crash("netsky2")
    with pytest.raises(Misused, match=r"nothing came .* netsky2 is down \(mesh.start\), partition netsky1 goes on"):
        await mesh.take(ONE, seconds=5)


async def test_the_authority_table_is_in_force(mesh: Mesh) -> None:
    outcome = await mesh.outcome(await mesh.send(ONE, "hello", to=TWO))
    assert (outcome.fate, outcome.code) == ("dead", "authority")


@pytest.mark.netsky(siblings=2, routes=["agent0@netsky1 -> agent0@netsky2: text"])
async def test_a_route_of_the_root_opens_a_way(mesh: Mesh) -> None:
    await mesh.send(ONE, "hello", to=TWO)
    assert (await mesh.take(TWO)).sender == ONE


@pytest.mark.netsky(siblings=0)
async def test_a_mesh_may_be_a_root_alone(mesh: Mesh) -> None:
    await mesh.agent("agent1@netsky0", count_words)
    assert (await mesh.reply(await mesh.send(ROOT, "a b", to="agent1@netsky0"))).text == "2 words"
    assert [machine.name for machine in mesh.machines] == ["netsky0"]


# Agents.


async def test_what_a_handler_raises_is_a_failed_program_and_tried_again(mesh: Mesh) -> None:
    tries: list[float] = []

    async def fail_twice(envelope: FileEnvelope) -> str:
        tries.append(trio.current_time())
        if len(tries) < 3:
            raise ValueError("not yet")
        return "done"

    await mesh.agent("agent1@netsky1", fail_twice)
    assert (await mesh.reply(await mesh.send(ROOT, "go", to="agent1@netsky1"))).text == "done"
    assert len(tries) == 3
    assert tries[1] - tries[0] >= 0.5  # it waited before it tried again


async def test_a_resident_agent_lives_again_with_its_node_and_after_what_it_raises(mesh: Mesh) -> None:
    shown: list[bool] = []

    async def shout(node: Node) -> None:
        async with node.inbox() as inbox:
            async for item in inbox:
                shown.append(item.again)
                if item.envelope.text == "die" and len(shown) == 1:
                    raise RuntimeError("with an envelope in its hand")
                await node.send(item.envelope.sender, item.envelope.text.upper(), kind="reply", in_reply_to=item.id)
                await item.ack()

    await mesh.agent("agent1@netsky1", resident=shout)
    assert (await mesh.reply(await mesh.send(ROOT, "die", to="agent1@netsky1"))).text == "DIE"
    await mesh.drained()
    await mesh.crash("netsky1")
    await mesh.start("netsky1")
    assert (await mesh.reply(await mesh.send(ROOT, "live", to="agent1@netsky1"))).text == "LIVE"
    assert len(shown) == 3


async def test_an_agent_dies_with_its_machine(mesh: Mesh) -> None:
    ended: list[str] = []

    async def work(envelope: FileEnvelope) -> str:
        try:
            await trio.sleep(20)
        except trio.Cancelled:
            ended.append("killed")
            raise
        return "done"

    await mesh.agent("agent1@netsky1", work)
    sent = await mesh.send(ROOT, "go", to="agent1@netsky1")
    await mesh.advance(10)
    await mesh.crash("netsky1")
    assert ended == ["killed"]
    await mesh.start("netsky1")
    assert (await mesh.reply(sent)).text == "done"


async def test_files_travel_with_a_message(mesh: Mesh, tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("all of it")
    sent = await mesh.send(ROOT, "see the file", to=ONE, attachments=[str(path)])
    assert (await mesh.outcome(sent)).delivered
    async with mesh.connect("netsky1") as node:
        [attached] = await node.attachments(sent.id)
    assert attached["name"] == "report.txt"


# Trouble.


async def test_nothing_passes_a_partition_until_it_is_healed(mesh: Mesh) -> None:
    await mesh.partition("netsky1")
    cut_off = await mesh.send(ROOT, "hello", to=ONE)
    assert (await mesh.outcome(await mesh.send(ROOT, "hello", to=TWO))).delivered
    with pytest.raises(TimedOut):
        await mesh.outcome(cut_off, seconds=30)
    await mesh.heal("netsky1")
    assert (await mesh.outcome(cut_off)).delivered


async def test_a_machine_that_stands_still_goes_on_where_it_was(mesh: Mesh) -> None:
    await mesh.pause("netsky1")
    sent = await mesh.send(ROOT, "hello", to=ONE)
    with pytest.raises(TimedOut):
        await mesh.outcome(sent, seconds=30)
    await mesh.go_on("netsky1")
    assert (await mesh.outcome(sent)).delivered


@pytest.mark.parametrize("verb", ["crash", "cut_power", "stop"])
async def test_what_was_delivered_outlives_the_node(mesh: Mesh, verb: str) -> None:
    await mesh.outcome(await mesh.send(ROOT, "kept", to=ONE))
    await getattr(mesh, verb)("netsky1")
    with pytest.raises(Misused, match=r"netsky1 is down: await mesh\.start"):
        await mesh.inbox(ONE)
    await mesh.start("netsky1")
    assert (await mesh.take(ONE)).text == "kept"


async def test_a_full_disk_refuses_what_is_sent_from_there(mesh: Mesh) -> None:
    await mesh.fill_disk("netsky1")
    with pytest.raises(TryLater):
        await mesh.send(ONE, "hello", to=ROOT)
    await mesh.heal()
    assert (await mesh.outcome(await mesh.send(ONE, "hello", to=ROOT))).delivered


async def test_a_slow_disk_is_slow(mesh: Mesh) -> None:
    await mesh.slow_disk("netsky1", 2)
    began = trio.current_time()
    await mesh.send(ONE, "hello", to=ROOT)
    assert trio.current_time() - began > 1.9


async def test_a_wrong_clock_shows_in_what_is_sent_and_is_set_right(mesh: Mesh) -> None:
    await mesh.set_clock("netsky1", 3_600)
    ahead = await mesh.send(ONE, "from tomorrow", to=ROOT)
    assert (await mesh.outcome(ahead)).delivered
    [shown] = await mesh.inbox(ROOT)
    now = mesh["netsky0"].time.wall()
    assert shown.ts - now > 3_000 * 10**9
    await mesh.heal()
    assert mesh["netsky1"].time.wall() == mesh["netsky0"].time.wall()


async def test_a_backup_forgets_what_came_after_it_and_the_root_says_it_again(mesh: Mesh) -> None:
    backup = await mesh.backup("netsky1")
    assert (await mesh.outcome(await mesh.send(ROOT, "later", to=ONE))).delivered
    await mesh.restore("netsky1", backup)
    assert (await mesh.take(ONE)).text == "later"


async def test_a_restart_ends_and_begins_a_life(mesh: Mesh) -> None:
    await mesh.restart("netsky1")
    await mesh.linked()
    assert mesh["netsky1"].lives == 2


async def test_drained_says_what_is_left(mesh: Mesh) -> None:
    await mesh.partition("netsky1")
    await mesh.send(ROOT, "hello", to=ONE)
    with pytest.raises(Misused, match=r"netsky0: 1 outbox rows without an outcome; .*; partition netsky1 goes on"):
        await mesh.drained(seconds=30)
    await mesh.heal()
    await mesh.drained()


# What cannot be.


async def test_what_cannot_be_asked_is_told_with_what_to_do(mesh: Mesh) -> None:
    wrong = [
        (mesh.crash("netsky7"), "there are netsky0, netsky1, netsky2"),
        (mesh.start("netsky1"), "netsky1 is up already: await mesh.restart"),
        (mesh.inbox("agent0"), "write agent0@netsky1"),
        (mesh.inbox("Agent 0@netsky1"), "An actor of a machine is written agent1@netsky2"),
        (mesh.outcome("f00d"), "was not sent by mesh.send"),
        (mesh.agent("agent1@netsky1", count_words, resident=trio.sleep), "give one of the two"),  # type: ignore[arg-type]
    ]
    for asked, sentence in wrong:
        with pytest.raises(Misused, match=sentence):
            await asked
    await mesh.agent("agent1@netsky1", count_words)
    with pytest.raises(Misused, match="has a program, which takes what comes"):
        await mesh.take("agent1@netsky1")
    with pytest.raises(NotFound, match="agent7"):
        await mesh.send("agent7@netsky1", "hello", to=ROOT)
    with pytest.raises(NetskyError, match="no such actor"):
        async with mesh.connect("agent7@netsky1"):
            pass


# The end of a test.


def test_a_story_gives_what_it_returns_and_raises_what_it_raises() -> None:
    async def story(mesh: Mesh) -> int:
        return len(mesh.machines)

    async def fail(_: Mesh) -> None:
        raise KeyError("mine")

    assert run_mesh(story, siblings=1) == 2
    with pytest.raises(KeyError, match="mine"):
        run_mesh(fail, siblings=0)


def test_what_did_not_hold_is_told_unless_the_story_says_so() -> None:
    async def twice(mesh: Mesh) -> None:
        sent = await mesh.send(ROOT, "hello", to=ONE)
        await mesh.outcome(sent)
        origin = mesh["netsky0"].key.hex()
        mesh.said(mesh["netsky1"], "test").note("deliver", id=sent.id, origin=origin, dest=ONE)

    async def twice_unjudged(mesh: Mesh) -> None:
        mesh.judge = False
        await twice(mesh)

    with pytest.raises(Broken, match=r"I2: .* was delivered twice"):
        run_mesh(twice)
    run_mesh(twice_unjudged)


def test_troubles_that_a_story_leaves_are_ended_before_it_is_judged() -> None:
    async def story(mesh: Mesh) -> None:
        await mesh.agent("agent1@netsky1", count_words)
        await mesh.partition("netsky1")
        await mesh.set_clock("netsky2", 500)
        await mesh.fill_disk("netsky2")
        for to in ("agent1@netsky1", TWO):
            await mesh.send(ROOT, "on its way", to=to)
        await mesh.crash("netsky0")

    run_mesh(story)


def test_what_agents_raised_is_remembered_once_for_all_tries() -> None:
    async def fail(_: FileEnvelope) -> str:
        raise ValueError("never")

    async def story(mesh: Mesh) -> str:
        await mesh.agent("agent1@netsky1", fail)
        return (await mesh.reply(await mesh.send(ROOT, "go", to="agent1@netsky1"))).text

    trial = Trial()
    assert "could not do this" in trial.run(story)
    [said] = trial.failures
    assert said.startswith("agent1@netsky1, 5 times, first after ")
    assert "never" in said


TREE = Path(__file__).resolve().parents[3]
HISTORY = "from tests.node.lab.test_mesh_verbs import digest_of; print(digest_of({seed}))"


def digest_of(seed: int) -> str:
    kept: list[Chronicle] = []

    async def story(mesh: Mesh) -> None:
        assert mesh.chronicle is not None
        kept.append(mesh.chronicle)
        await mesh.agent("agent1@netsky1", count_words)
        await mesh.agent("agent1@netsky2", resident=echo)
        sent = [await mesh.send(ROOT, f"word {at}", to=f"agent1@netsky{1 + at % 2}") for at in range(6)]
        await mesh.partition("netsky2")
        await mesh.crash("netsky1", calls=70)
        await mesh.advance(20)
        await mesh.start("netsky1")
        await mesh.heal()
        for one in sent:
            await mesh.reply(one)

    run_mesh(story, seed=seed)
    return hashlib.sha256(b"".join(kept[0].lines)).hexdigest()


async def echo(node: Node) -> None:
    async with node.inbox() as inbox:
        async for item in inbox:
            await node.send(item.envelope.sender, item.envelope.text, kind="reply", in_reply_to=item.id)
            await item.ack()


def test_the_same_seed_is_the_same_run_in_another_process_and_another_seed_is_another() -> None:
    def elsewhere(hash_seed: str) -> str:
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        argv = [sys.executable, "-c", HISTORY.format(seed=5)]
        done = subprocess.run(argv, env=env, cwd=TREE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    first = elsewhere("1")
    assert first == elsewhere("2")
    assert first != digest_of(6)
