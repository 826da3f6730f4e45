"""What may be deleted, by a table and by a rule over everything that may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netsky.node.db import commits
from netsky.node.work.repo.after import push
from netsky.node.work.repo.commission import Committed
from netsky.node.work.repo.gc import Kind, Thing, decide
from netsky.node.work.repo.shelf import name_of
from netsky.node.work.repo.sources import Source
from netsky.node.work.repo.sweep import sweep

from tests.node.work.repo.test_after import a_remote
from tests.node.work.repo.test_shelf import a_shelf
from tests.node.work.repo.world import World, git

THINGS = st.builds(
    Thing,
    kind=st.sampled_from(Kind),
    name=st.sampled_from("abcdef"),
    size=st.integers(0, 100),
    used=st.integers(0, 5),
    running=st.booleans(),
    archived=st.booleans(),
    pushed=st.booleans(),
    needed_by=st.lists(st.sampled_from("abcdef"), max_size=2).map(tuple),
)


@pytest.mark.parametrize(
    ("thing", "goes"),
    [
        (Thing(Kind.CHECK, "x", 1, 1), True),
        (Thing(Kind.CHECK, "x", 1, 1, running=True), False),
        (Thing(Kind.BUNDLE, "x", 1, 1), True),
        (Thing(Kind.BUNDLE, "x", 1, 1, running=True), False),
        (Thing(Kind.WORKSPACE, "x", 1, 1), False),
        (Thing(Kind.WORKSPACE, "x", 1, 1, archived=True), True),
        (Thing(Kind.WORKSPACE, "x", 1, 1, pushed=True), False),
        (Thing(Kind.WORKSPACE, "x", 1, 1, archived=True, running=True), False),
        (Thing(Kind.REPOSITORY, "x", 1, 1), False),
        (Thing(Kind.REPOSITORY, "x", 1, 1, pushed=True), True),
        (Thing(Kind.REPOSITORY, "x", 1, 1, archived=True), False),
        (Thing(Kind.REPOSITORY, "x", 1, 1, pushed=True, running=True), False),
        (Thing(Kind.REPOSITORY, "x", 1, 1, pushed=True, needed_by=("w",)), False),
    ],
)
def test_only_what_is_archived_or_pushed_or_made_again_goes(thing: Thing, goes: bool) -> None:
    [decision] = decide([thing])
    assert decision.goes is goes
    assert decision.why


def test_a_repository_goes_after_the_last_workspace_that_borrows_from_it() -> None:
    source = Thing(Kind.REPOSITORY, "r", 9, 1, pushed=True, needed_by=("w",))
    workspace = Thing(Kind.WORKSPACE, "w", 9, 5, archived=True)
    assert [(one.thing.name, one.goes) for one in decide([source, workspace])] == [("w", True), ("r", True)]
    assert [one.goes for one in decide([source, workspace], needed=5)] == [True, False]


@given(st.lists(THINGS, max_size=12), st.none() | st.integers(0, 300))
def test_whatever_is_known_nothing_goes_that_is_nowhere_else(things: list[Thing], needed: int | None) -> None:
    decisions = decide(things, needed)
    assert sorted(map(repr, (one.thing for one in decisions))) == sorted(map(repr, things))
    gone = [one.thing for one in decisions if one.goes]
    assert not any(thing.running for thing in gone)
    assert all(thing.archived for thing in gone if thing.kind is Kind.WORKSPACE)
    assert all(thing.pushed for thing in gone if thing.kind is Kind.REPOSITORY)
    assert [thing.kind for thing in gone] == sorted(thing.kind for thing in gone)
    if needed is not None and gone:
        assert sum(thing.size for thing in gone[:-1]) < max(needed, 1)


async def test_gc_removes_what_may_go_and_says_why_the_rest_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(remote, "main", remote)
        for task in ("ended", "running", "open"):
            await shelf.workspace(task, remote, world.base, Source(url=remote))
        now = node.seams.time.wall()
        await node.group.write([commits.workspace_archived(task, now) for task in ("ended", "running")])
        await shelf.bundle(remote, world.base)
        await committer.commit(world.commission("k1", push=remote))

        async def gc(*running: str, dry: bool = False) -> dict[str, str]:
            found = await sweep(shelf, node.group, node.seams, running, dry=dry)
            assert all(one.thing.size > 0 for one in found)
            return {one.thing.name.replace(world.base, "base"): one.why for one in found if one.goes is not dry}

        before = sorted(world.node.rglob("*"))
        assert await gc("running", dry=True) == {
            "running": "something runs in it",
            "open": "what came of it is not archived",
            f"{name_of(remote)}.git": "it has commits that are nowhere else",
        }
        assert [path for path in sorted(world.node.rglob("*")) if ".log" not in path.name] == [
            path for path in before if ".log" not in path.name
        ]
        assert await gc("running") == {
            "base.bundle": "it can be made again",
            "ended": "its report and its patch are stored",
        }
        assert sorted(path.name for path in (world.node / "workspaces").iterdir()) == ["open", "running"]
        await push(committer.repository, node.group, node.seams.time)
        await node.group.write([commits.workspace_archived("open", now)])
        gone = await gc()
        assert list(gone) == ["open", "running", f"{name_of(remote)}.git"]
        assert list((world.node / "workspaces").iterdir()) == []
        assert [path.name for path in (world.node / "repos").iterdir() if path.is_dir() and path.name != "checks"] == []
        again = await shelf.committer(remote, "main", remote)
        assert isinstance(await again.commit(world.commission("k1", push=remote)), Committed)
    assert world.keys_in(Path(remote)) == ["k1"]


def loose(repository: Path) -> int:
    return len(list(repository.glob("objects/??/*")))


async def test_what_stays_is_packed_and_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    place = str(world.project)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(place)
        workspace = await shelf.workspace("t", place, world.base, Source(url=place))
        for key in ("k1", "k2"):
            await committer.commit(world.commission(key))
        bare = Path(committer.repository.path)
        assert loose(bare) > 5
        assert [one.goes for one in await sweep(shelf, node.group, node.seams, (), dry=False)] == [False, False]
        assert loose(bare) == 3, "what a rebase left half-way stays for a day"
        assert git(workspace.path, "status", "--porcelain") == ""
        assert (await committer.commit(world.commission("k1"))).again
        assert isinstance(await committer.commit(world.commission("k3")), Committed)
        assert world.keys_in(bare) == ["k3", "k2", "k1"]
