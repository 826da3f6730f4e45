"""The whole way: a place, a workspace, a patch, a commit, a push, on machines that come and go."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from netsky.node.work.repo.after import push
from netsky.node.work.repo.commission import Committed
from netsky.node.work.repo.git import Git, GitError
from netsky.node.work.repo.shelf import Shelf, name_of
from netsky.node.work.repo.sources import Source

from tests.node.work.repo.test_after import a_remote
from tests.node.work.repo.world import Node, World, git


@asynccontextmanager
async def a_shelf(world: World, name: str) -> AsyncIterator[tuple[Node, Shelf]]:
    world.node = world.folder / name
    world.node.mkdir(exist_ok=True)
    async with world.life() as node:
        shelf = Shelf(str(world.node), node.group, node.seams, lambda: 0)
        try:
            yield node, shelf
        finally:
            shelf.close()


async def test_work_goes_from_a_remote_over_a_sibling_and_back(tmp_path: Path) -> None:
    """The sibling has no access to the remote: a bundle goes there, a patch comes back."""
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_shelf(world, "root") as (_, root):
        await root.committer(remote, "main", remote)
        await root.workspace("r.here", remote, world.base, Source(url=remote))
        bundle = await root.bundle(remote, world.base)
    shutil.move(bundle, tmp_path / "carried")
    async with a_shelf(world, "sibling") as (_, sibling):
        workspace = await sibling.workspace("r.t1", remote, world.base, Source(bundle=str(tmp_path / "carried")))
        (Path(workspace.path) / "src" / "b.txt").write_text("from the sibling\n")
        patch = await sibling.harvest("r.t1", remote, world.base)
    async with a_shelf(world, "root") as (node, root):
        committer = await root.committer(remote, "main", remote)
        outcome = await committer.commit(world.commission(patch=patch, push=remote))
        assert isinstance(outcome, Committed)
        [row] = await push(committer.repository, node.group, node.seams.time)
        assert row.state == "pushed"
        assert git(remote, "show", "main:src/b.txt") == "from the sibling"


async def test_a_machine_that_takes_over_goes_on_where_the_branch_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(remote, "main", remote)
        await shelf.workspace("w", remote, world.base, Source(url=remote))
        first = await committer.commit(world.commission("k1", push=remote))
        await push(committer.repository, node.group, node.seams.time)
    async with a_shelf(world, "two") as (node, shelf):
        committer = await shelf.committer(remote, "main", remote)
        await shelf.workspace("w", remote, world.base, Source(url=remote))
        assert await committer.commit(world.commission("k1", push=remote)) == Committed(first.commit, again=True)
        assert isinstance(await committer.commit(world.commission("k2", push=remote)), Committed)
        rows = await push(committer.repository, node.group, node.seams.time)
        assert {row.state for row in rows} == {"pushed"}
    assert world.keys_in(Path(remote), "main") == ["k2", "k1"]


async def test_a_branch_that_went_on_in_both_places_is_left_to_a_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(remote, "main", remote)
        await shelf.workspace("w", remote, world.base, Source(url=remote))
        await committer.commit(world.commission("k1", push=remote))
        (world.project / "other.txt").write_text("meanwhile\n")
        git(world.project, "commit", "-qam", "meanwhile")
        git(world.project, "push", "-q", remote, "main")
        [row] = await push(committer.repository, node.group, node.seams.time)
        assert row.state == "refused"
        shelf.look_again(name_of(remote), "main", remote)
        with pytest.raises(GitError) as diverged:
            await shelf.committer(remote, "main", remote)
        assert diverged.value.code == "diverged"


async def test_a_repository_that_began_here_learns_of_a_place_it_is_pushed_to_later(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(remote)
        await shelf.workspace("w", remote, world.base, Source(url=remote))
        await committer.commit(world.commission("k1"))
        committer = await shelf.committer(remote, "main", remote)
        await committer.commit(world.commission("k2", push=remote))
        await push(committer.repository, node.group, node.seams.time)
    assert world.keys_in(Path(remote), "main") == ["k2", "k1"]


async def test_a_place_that_does_not_answer_holds_no_commit_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    place = str(world.project)
    async with a_shelf(world, "one") as (node, shelf):
        committer = await shelf.committer(place)
        await shelf.workspace("w", place, world.base, Source(url=place))
        slow = tmp_path / "slow"
        slow.write_text("#!/bin/sh\nsleep 1000\n")
        slow.chmod(0o755)
        repository = committer.repository
        repository._far = Git(node.seams.processes, node.seams.files, str(world.node), "far", program=str(slow))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(repository.fetch, place, ["refs/heads/*:refs/netsky/from/*"])
            nursery.start_soon(shelf.committer, place, "main", a_remote(world))
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(60):
                assert isinstance(await committer.commit(world.commission("k1")), Committed)
                await shelf.repository("another place")
            nursery.cancel_scope.cancel()
