"""The actors that are code of the node: spoken to over the mesh and on one machine, once taken, told of what fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from netsky.node.actors.handover import Handed
from netsky.node.bus.draft import Draft
from netsky.node.errors import Refused, TryLater, Usage
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock


class Heard:
    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.calls: list[tuple[str, str]] = []

    async def __call__(self, handed: Handed) -> None:
        self.calls.append((handed.header.sender, handed.body.text))
        if self.fails:
            raise self.fails.pop(0)


def handlers(mesh: Mesh, number: int, name: str, kind: str, heard: Heard) -> None:
    """In the place of whatever the node does with such an envelope."""
    mesh.machines[number].node.voices._handlers[name][kind] = heard


async def test_a_voice_is_handed_what_another_nodes_voice_sent_it_and_takes_it(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        heard = Heard()
        handlers(mesh, 1, "agentinfinity", "control", heard)
        draft = Draft("agentinfinity@netsky1", "stop", kind="control", requires_ack=False)
        said = await root.node.voices.say("agentinfinity", draft)

        async def taken() -> bool | None:
            return await one.rows("SELECT state FROM inbox WHERE actor = 'agentinfinity'") == [("taken",)] or None

        await until(taken)
        assert heard.calls == [("agentinfinity@netsky0", "stop")]
        assert (await root.ask("wait", what="outcome", id=said.id))["stage"] == "ended"
        assert await one.inbox("agent0") == []


async def test_what_a_voice_cannot_do_yet_is_tried_again_and_what_it_refuses_is_told_its_sender(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        heard = Heard(TryLater("not now", next="later"), ValueError("ours"), Usage("never that", next="another"))
        handlers(mesh, 0, "agentcron", "cron", heard)
        said = await one.node.voices.say("agentcron", Draft("agentcron@netsky0", "a schedule", kind="cron"))

        async def told() -> bool | None:
            rows = await one.rows("SELECT recipient FROM messages WHERE in_reply_to = ? AND kind = 'error'", said.id)
            return rows == [("agentcron@netsky1",)] or None

        await until(told)
        assert len(heard.calls) == 3
        crashes = await root.rows("SELECT task, detail FROM crashes")
        assert crashes == [("voices/agentcron", "ValueError: ours")]


async def test_nobody_but_the_node_says_what_daemons_alone_write(tmp_path: Path, jumping_clock: MockClock) -> None:
    async with open_mesh(tmp_path, 1) as mesh:
        _, one = mesh.machines
        asked = {"to": "agentinfinity@netsky0", "kind": "control", "text": "x"}
        for who in ("agentinfinity", "agent0"):
            error = await one.refusal("send", **asked, **{"from": who})
            assert "daemons alone write it" in error["message"]
        with pytest.raises(Refused, match="it may send: cron"):
            await one.node.voices.say("agentcron", Draft("agent0@netsky1", "x", kind="loop"))


async def test_the_owner_answers_whoever_asked_on_any_machine_and_nobody_else(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    async with open_mesh(tmp_path, 1) as mesh:
        root, one = mesh.machines
        asked = await one.ask("send", to="owner@netsky0", kind="question", text="may I?", **{"from": "agent0"})

        async def there() -> bool | None:
            return bool(await root.inbox("owner")) or None

        await until(there)
        answer = {"to": "agent0@netsky1", "kind": "reply", "text": "yes", "from": "owner"}
        error = await root.refusal("send", **answer)
        assert "only in answer to that one's envelope" in error["message"]
        error = await root.refusal("send", **(answer | {"to": "agentcron@netsky1"}), in_reply_to=asked["id"])
        assert "only in answer" in error["message"]
        await root.ask("send", **answer, in_reply_to=asked["id"])

        async def answered() -> bool | None:
            return [item["kind"] for item in await one.inbox("agent0")] == ["reply"] or None

        await until(answered)
