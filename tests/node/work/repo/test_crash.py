"""The committer is killed before each seam call, with the git that runs then, and lives on: one commit for the key."""

from __future__ import annotations

import collections
import pickle
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.seams import Seams
from netsky.node.work.repo.commission import Commission, Committed

from tests.node.work.repo.dying import Dying
from tests.node.work.repo.world import World, git

PARTS = 10
"""Of the calls: no test takes long beside other work."""


class Copies:
    """Worlds in which nothing was committed yet, and the patches are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder / "first")
        self.commission = self.world.commission(
            "k1", patch=self.world.patch({"src/a.txt": "new\n", "src/k1.txt": "k\n"})
        )
        self.other = self.world.commission("k2")

    async def prepare(self, *, others: bool) -> str:
        """With `others` the branch has moved on since the base. The id that the commit will have."""
        async with self.world.committer() as node:
            if others:
                assert isinstance(await node.commit(self.other), Committed)
        whole = self.copy("whole")
        async with whole.committer(fetch=False) as node:
            outcome = await node.commit(self.commission)
            assert isinstance(outcome, Committed), outcome
        return outcome.commit

    def copy(self, name: str) -> World:
        shutil.copytree(self.world.folder, self.folder / name)
        copied = World.__new__(World)
        copied.__dict__ |= self.world.__dict__
        copied.folder, copied.node = self.folder / name, self.folder / name / "node"
        return copied


async def one_life(world: World, seams: Seams, commission: Commission) -> Any:
    async with world.life(seams) as node:
        await node.begin(fetch=False)
        return await node.commit(commission)


def judge(world: World, wanted: str, *, others: bool) -> None:
    assert world.tip() == wanted
    assert world.keys_in(world.bare) == ["k1", *(["k2"] if others else [])]
    assert [name for name in world.refs() if "pending" in name] == []
    assert sorted(world.bare.rglob("*.lock")) == [world.bare / "netsky.lock"]


def ways() -> list[Any]:
    """On its base or rebased; with its database or one from before; a part of the calls. Two of them always run."""
    return [
        pytest.param(
            others,
            restored,
            part,
            marks=[] if part == 0 and others is not restored else [pytest.mark.long],
            id=f"{'rebased' if others else 'on its base'}, {'database put back' if restored else 'as it was'}, {part}",
        )
        for others in (False, True)
        for restored in (False, True)
        for part in range(PARTS)
    ]


@pytest.mark.parametrize(("others", "restored", "part"), ways())
async def test_a_committer_killed_before_any_call_commits_once_and_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], restored: bool, others: bool, part: int
) -> None:
    copies = Copies(tmp_path)
    wanted = await copies.prepare(others=others)
    points: collections.Counter[str] = collections.Counter()
    number = 1 + part
    while True:
        world = copies.copy(str(number))
        dying = Dying(number)
        outcome = await dying.tell(lambda seams, world=world: one_life(world, seams, copies.commission))
        if not dying.life.dead:
            break
        assert outcome is None
        points[dying.calls[-1]] += 1
        if restored:
            for name in ("meta.db", "meta.db-wal", "meta.db-shm"):
                (world.node / name).unlink(missing_ok=True)
            shutil.copy(copies.world.node / "meta.db", world.node / "meta.db")
        async with world.committer(fetch=False) as node:
            again = await node.commit(copies.commission)
            assert isinstance(again, Committed), again
            assert await node.rows("SELECT key, made, content FROM commits WHERE key = 'k1'") == [("k1", wanted, None)]
        judge(world, wanted, others=others)
        shutil.rmtree(world.folder)
        number += PARTS
    judge(world, wanted, others=others)
    git(world.bare, "fsck", "--strict", "--no-dangling")
    with capsys.disabled():
        print(f"\nkilled before {sum(points.values())} calls: {dict(points)}")


@pytest.mark.long
@pytest.mark.real
async def test_a_process_that_is_killed_while_it_commits_leaves_one_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel and the keepers clean up, not the test: what git did last is whatever it had time for."""
    copies = Copies(tmp_path)
    wanted = await copies.prepare(others=False)
    killed, number = 0, 0
    while True:
        number += 1
        world = copies.copy(str(number))
        state = world.folder / "state"
        state.write_bytes(pickle.dumps((world, copies.commission)))
        command = [sys.executable, "-m", "tests.node.work.repo.committing", str(state), str(number)]
        done = await trio.run_process(command, capture_stdout=True, check=False)
        async with world.committer(fetch=False) as node:
            again = await node.commit(copies.commission)
            assert isinstance(again, Committed), again
        judge(world, wanted, others=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
    assert done.stdout == b"Committed\n"
    assert killed > 40
    with capsys.disabled():
        print(f"\n{killed} processes killed, one at each call")
