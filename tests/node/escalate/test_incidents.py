"""The published incidents that are about paging, each in both directions. Those of the watchdog stand beside it."""

from __future__ import annotations

from pathlib import Path

import trio
from netsky.node.escalate.limits import AGAIN_NS, COOLDOWN_NS, MARK_TRIES, TRIES, TRY_SECONDS, WORST_SECONDS
from netsky.node.lab.mesh import open_mesh
from trio.testing import MockClock

from tests.node.escalate.owner_channel import HANGS
from tests.node.escalate.test_pager import channels, page, rows, state

COOLDOWN = COOLDOWN_NS / 1e9
AGAIN = AGAIN_NS / 1e9


async def test_incident_1_what_was_detected_is_paged_by_code_without_any_actor_doing_anything(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    """agent0 has no program here and takes nothing: nobody but code is there to page."""
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root, "hang.agent0", subject="agent0 hangs")
            await trio.sleep(1)
            assert channel.subjects == ["agent0 hangs"]


async def test_incident_1_what_was_not_detected_is_not_paged(tmp_path: Path, jumping_clock: MockClock) -> None:
    with channels(2) as (made, prepare):
        async with open_mesh(tmp_path, 1, prepare=prepare):
            await trio.sleep(400)
            assert [channel.tried for channel in made] == [[], []]


async def test_incident_2_a_cause_that_lasts_pages_once_in_a_cooldown_and_not_at_each_look(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            began = trio.current_time()
            for _ in range(18):
                page(root)
                await trio.sleep(60)
            assert [round((one.at - began) / 60) for one in channel.told] == [0, 16]  # it cools from its end on


async def test_incident_6_a_page_that_failed_is_tried_again_by_itself_until_it_goes(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.ends.extend(["no line", "no line"])
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root)
            await trio.sleep(3 * AGAIN + 5)
            assert [round((at - channel.tried[0]) / AGAIN) for at in channel.tried] == [0, 1, 3]
            assert len(channel.told) == 1
            assert [one["status"] for one in await rows(root)] == ["asked", "failed", "failed", "went"]


async def test_incident_6_what_went_is_not_tried_again(tmp_path: Path, jumping_clock: MockClock) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            page(mesh.machines[0])
            await trio.sleep(COOLDOWN + 60)
            assert len(channel.tried) == 1


async def test_incident_6_half_a_success_is_none_it_is_marked_past_a_threshold_and_a_restart_keeps_the_mark(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.always = "it was tried 3 times and did not take it: it ended with exit code 75"
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root)
            await trio.sleep(AGAIN)
            assert len(channel.tried) < MARK_TRIES
            assert state(root, "escalate-failed.json") is None
            await trio.sleep(3 * AGAIN)
            assert state(root, "escalate-failed.json") is not None
            await mesh.restart(root)
            assert [fault["code"] for fault in (await root.ask("status"))["faults"]] == ["escalate-failed"]


async def test_incident_5_the_mark_of_an_old_failure_stops_no_page_and_the_first_that_goes_takes_it_away(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            channel.ends.extend(["no line"] * MARK_TRIES)
            for number in range(MARK_TRIES):
                page(root, f"k{number}")
            await trio.sleep(5)
            assert state(root, "escalate-failed.json") is not None
            page(root, "later")
            await trio.sleep(5)
            assert channel.subjects == ["it is so"]
            assert state(root, "escalate-failed.json") is None


async def test_incident_7_every_run_of_the_program_is_bounded_and_ended(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.ends.append(HANGS)
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            [root] = mesh.machines
            page(root)
            await trio.sleep(WORST_SECONDS + 11)
            assert channel.running == 0
            assert (await rows(root, "failed"))[0]["why"] == "the program ended without an answer"


async def test_incident_7_a_run_that_takes_as_long_as_it_may_is_not_ended(
    tmp_path: Path, jumping_clock: MockClock
) -> None:
    with channels(1) as ([channel], prepare):
        channel.seconds = (TRIES * TRY_SECONDS) / 2  # to its answer, and to its end
        async with open_mesh(tmp_path, 0, prepare=prepare) as mesh:
            page(mesh.machines[0])
            await trio.sleep(TRIES * TRY_SECONDS + 5)
            assert len(channel.told) == 1
            assert [one["status"] for one in await rows(mesh.machines[0])] == ["asked", "went"]
