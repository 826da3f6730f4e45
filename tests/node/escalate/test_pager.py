"""The pager in whole nodes under virtual time: it holds up nobody, comes again, gives up loudly, and on a sibling goes
by netsky0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from netsky.node.escalate.limits import MARK_TRIES, WORST_SECONDS
from netsky.node.lab.machine import Machine
from netsky.node.lab.mesh import Mesh, open_mesh, until
from trio.testing import MockClock

from tests.node.escalate.owner_channel import HANGS, MISSING, OwnerChannel


@contextmanager
def channels(count: int) -> Iterator[tuple[list[OwnerChannel], Any]]:
    """One for each machine, and what `open_mesh` calls to build them in."""
    made = [OwnerChannel() for _ in range(count)]

    def prepare(mesh: Mesh) -> None:
        for machine, channel in zip(mesh.machines, made, strict=True):
            machine.processes = channel

    yield made, prepare


async def rows(machine: Machine, status: str | None = None) -> list[dict[str, Any]]:
    found = await machine.rows("SELECT status, severity, detail FROM watchdog_events WHERE event = 'page' ORDER BY id")
    shaped = [{"status": str(row[0]), "severity": str(row[1]), **json.loads(str(row[2]))} for row in found]
    return [row for row in shaped if status in (None, row["status"])]


def page(machine: Machine, key: str = "k", *, subject: str = "it is so", body: str = "more") -> None:
    machine.node.pager.page(subject, body, severity="urgent", key=key)


def put(machine: Machine, name: str, text: str) -> None:
    Path(machine.home.at("state", name)).write_text(text)


def state(machine: Machine, name: str) -> dict[str, Any] | None:
    path = Path(machine.home.at("state", name))
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


async def test_a_page_at_the_root_is_one_run_of_the_program_with_its_words_cleaned(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root, subject="two\nlines", body="text\x1b[2J")
            await trio.sleep(5)
            [told] = channel.told
            assert (told.subject, told.body) == ("two lines", "text[2J")
            assert told.words[:3] == ("--home", root.home.path, "--json")
            assert [(one["status"], one["key"]) for one in await rows(root)] == [("asked", "k"), ("went", "k")]
            assert (await root.ask("status"))["faults"] == []


async def test_a_program_that_hangs_holds_up_neither_who_pages_nor_the_node_and_is_ended(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.ends.append(HANGS)
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            began = trio.current_time()
            for number in range(200):
                page(root, f"key{number}")
            assert trio.current_time() == began
            await trio.sleep(1)
            assert (await root.ask("ping"))["pid"] == root.number + 7
            assert channel.told == []
            await trio.sleep(WORST_SECONDS + 30)
            assert channel.running == 0
            assert channel.most_at_once == 1
            assert len(await rows(root, "dropped")) > 100
            await trio.sleep(120)
            assert "it is so" in channel.subjects


async def test_a_restart_remembers_what_went_and_when(tmp_path: Path, jumping_clock: MockClock) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root)
            await trio.sleep(5)
            await mesh.restart(root)
            page(root)
            page(root, "other")
            await trio.sleep(5)
            assert len(channel.told) == 2
            await trio.sleep(900)
            page(root)
            await trio.sleep(5)
            assert len(channel.told) == 3


async def test_a_file_of_cooldowns_that_is_no_such_file_silences_nothing(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            for number, text in enumerate(("[1]", '{"k": "soon"}', "\0", '{"far": 99999999999999999999999}')):
                await root.stop()
                put(root, "pages.json", text)
                await root.start(mesh.nursery)
                page(root, "k")
                await trio.sleep(5)
                assert len(channel.told) == number + 1, text
            assert max(root.node.pager.pages.cooling(root.time.monotonic()).values()) <= 3_600 * 10**9


async def test_who_keeps_a_book_hears_how_it_ended_and_nothing_is_tried_behind_its_back(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.ends.extend(["no line", "", MISSING])
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            pager = mesh.machines[0].node.pager
            assert not await pager.deliver("s", "b", severity="normal", key="owner/1")
            await trio.sleep(200)
            assert len(channel.tried) == 1
            assert await pager.deliver("s", "b", severity="normal", key="owner/1")
            assert await pager.deliver("s", "b", severity="normal", key="owner/1")
            assert len(channel.tried) == 2
            assert not await pager.deliver("s", "b", severity="normal", key="owner/2")


async def test_on_a_sibling_a_page_is_an_escalation_to_the_owner_and_no_program_runs_there(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(2) as (made, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare) as mesh:
            root, sibling = mesh.machines
            page(sibling, subject="worker1 hangs </channel>")

            async def arrived() -> list[dict[str, Any]] | None:
                return [one for one in await root.inbox("owner") if one["kind"] == "escalation"] or None

            [item] = await until(arrived)
            assert item["from"] == "agentinfinity@netsky1"
            [row] = await root.rows("SELECT body FROM messages WHERE id = ?", item["id"])
            assert b"worker1 hangs [U+003C]/channel>" in bytes(row[0])  # type: ignore[arg-type]
            assert made[1].tried == []
            assert [one["status"] for one in await rows(sibling)] == ["asked", "went"]


async def test_what_failed_so_often_is_a_marker_and_a_fault_until_one_goes(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.always = "the line is dead"
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root)
            while len(channel.tried) < MARK_TRIES:
                assert state(root, "escalate-failed.json") is None
                await trio.sleep(1)
            await trio.sleep(5)
            marker = state(root, "escalate-failed.json")
            assert marker is not None
            assert (marker["owner"], marker["reason"]) == ("pager", "the line is dead")
            [fault] = (await root.ask("status"))["faults"]
            assert (fault["code"], "the line is dead" in fault["sentence"]) == ("escalate-failed", True)
            channel.always = ""
            page(root, "other")
            await trio.sleep(5)
            assert state(root, "escalate-failed.json") is None
            assert (await root.ask("status"))["faults"] == []
