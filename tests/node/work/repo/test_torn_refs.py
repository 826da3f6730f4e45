"""git is killed at each of its own renames and syncs while refs move, and before each of its starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from netsky.node.work.repo.commission import Committed
from netsky.node.work.repo.git import Git

from tests import needs
from tests.node.work.repo.test_crash import Copies, judge
from tests.node.work.repo.world import Node, World

CALLS = ("fsync", "rename", "unlink")

KILLED_INSIDE = """#!/bin/sh
[ "$1" = update-ref ] || exec {git} "$@"
exec {strace} -qq -A -o {folder}/trace -e trace={calls} -e inject={calls}:signal=SIGKILL:when={number} {git} "$@"
"""

KILLED_BETWEEN = """#!/bin/sh
count=$(cat {folder}/count 2>/dev/null || echo 0)
echo $((count + 1)) > {folder}/count
[ "$count" = {number} ] || exec {git} "$@"
kill -9 $PPID
"""


async def through(world: World, script: str, number: int, copies: Copies, call: str = "") -> tuple[Any, bool]:
    """The commit, with a git that is killed. What came of it, and whether something was killed."""
    folder = world.node / "bin"
    folder.mkdir()
    program = folder / "git"
    words = {"git": needs.program("git"), "folder": folder, "number": number, "calls": call}
    program.write_text(script.format(**words, strace=shutil.which("strace")))
    program.chmod(0o755)
    async with world.life() as node:
        tricked = Git(node.seams.processes, node.seams.files, str(world.node), "git", program=str(program))
        node.repository._git = tricked
        await node.begin(fetch=False)
        outcome = await node.commit(copies.commission)
        node.repository.let_go()
    trace = folder / "trace"
    if trace.exists():
        return outcome, "killed by SIGKILL" in trace.read_text()
    count = folder / "count"
    return outcome, count.exists() and int(count.read_text()) > number


async def settle(world: World, copies: Copies, wanted: str) -> None:
    async with world.committer(fetch=False) as node:
        again = await node.commit(copies.commission)
        assert isinstance(again, Committed), again
        assert again.commit == wanted
        assert isinstance(node, Node)
    judge(world, wanted, others=False)


@pytest.mark.long
@pytest.mark.parametrize("call", CALLS)
async def test_git_killed_at_any_of_its_own_steps_in_a_move_of_refs_commits_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    needs.program("strace")
    copies = Copies(tmp_path)
    wanted = await copies.prepare(others=False)
    said: dict[str, int] = {}
    number = 0
    while True:
        number += 1
        world = copies.copy(str(number))
        outcome, killed = await through(world, KILLED_INSIDE, number, copies, call)
        if not killed:
            break
        kind = getattr(outcome, "code", type(outcome).__name__)
        said[kind] = said.get(kind, 0) + 1
        await settle(world, copies, wanted)
    with capsys.disabled():
        assert number > 2
        print(f"\ngit killed at {number - 1} calls of {call} while refs moved: {said}")


@pytest.mark.long
async def test_a_row_of_gits_killed_between_any_two_commits_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = Copies(tmp_path)
    wanted = await copies.prepare(others=False)
    number = -1
    while True:
        number += 1
        world = copies.copy(str(number))
        outcome, killed = await through(world, KILLED_BETWEEN, number, copies) if number else (None, True)
        if not killed:
            break
        if number:
            assert isinstance(outcome, Committed) or outcome.code.startswith("git_"), outcome
            await settle(world, copies, wanted)
    assert isinstance(outcome, Committed)
    with capsys.disabled():
        print(f"\ngit killed before {number} of its starts")
