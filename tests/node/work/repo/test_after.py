"""A person's word, a push, a revert, and a committer that begins on another machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from netsky.node.db import commits
from netsky.node.work.repo.after import Revert, decide, push, rollback
from netsky.node.work.repo.commission import AwaitsReview, Committed, Conflict, Refused
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.sources import follow

from tests.node.work.repo.world import CREATED, Node, World, git


def a_remote(world: World) -> str:
    path = world.folder / "remote.git"
    git(world.folder, "clone", "-q", "--bare", str(world.project), str(path))
    return str(path)


def revert(key: str = "k1", **more: Any) -> Revert:
    given: dict[str, Any] = {
        "key": key, "by": "operator", "node": "netsky0", "run": "r1", "ticket": f"rollback of {key}",
        "fence": (1, 1, 9), "authorised_by": "env-9", "created": CREATED + 60 * 10**9,
    }  # fmt: skip
    return Revert(**(given | more))


async def pushes(node: Node) -> list[tuple[Any, ...]]:
    return await node.rows("SELECT key, state, tries, said FROM pushes ORDER BY seq")


# A person's word.


async def test_what_a_person_has_to_see_is_shown_and_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    commission = world.commission(review="person")
    async with world.committer() as node:
        shown = await node.commit(commission)
        assert isinstance(shown, AwaitsReview)
        assert git(world.bare, "show", f"{shown.ref}:src/k1.txt") == "k1"
        assert "refs/heads/main" not in world.refs()
        assert await node.commit(commission) == shown
        assert await node.rows() == [("k1", "waiting", "")]
        assert not await decide(node.group, node.seams.time, "r", "other", "owner", approved=True)
        assert await decide(node.group, node.seams.time, "r", "k1", "owner", approved=True)
    async with world.committer() as node:
        assert await node.commit(commission) == Committed(shown.commit)
        assert world.keys_in(world.bare) == ["k1"]
        assert not any("review" in name for name in world.refs())
        assert await node.rows("SELECT state, decided_by FROM commits") == [("committed", "owner")]


async def test_a_person_approves_a_patch_and_no_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission(review="person"))
        await decide(node.group, node.seams.time, "r", "k1", "owner", approved=True)
        other = world.commission(review="person", patch=world.patch({"src/b.txt": "another\n"}))
        assert isinstance(await node.commit(other), AwaitsReview)
        assert isinstance(await node.commit(other), AwaitsReview)


async def test_what_a_person_refused_is_refused_until_it_is_another_patch(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission(review="person"))
        await decide(node.group, node.seams.time, "r", "k1", "owner", approved=False, why="not like this")
        assert await node.commit(world.commission(review="person")) == Refused("review", "not like this")
        other = world.commission(review="person", patch=world.patch({"src/b.txt": "another\n"}))
        assert isinstance(await node.commit(other), AwaitsReview)


# Reverts.


async def test_a_revert_is_a_commit_with_a_key_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        for key in ("k1", "k2"):
            await node.commit(world.commission(key))
        assert node.committer is not None
        first = await rollback(node.committer, node.group, revert())
        assert isinstance(first, Committed), first
        assert await rollback(node.committer, node.group, revert()) == Committed(first.commit, again=True)
        assert world.keys_in(world.bare, "main") == ["rollback:k1", "k2", "k1"]
        assert git(world.bare, "ls-tree", "-r", "--name-only", "main").split() == [
            "other.txt", "src/a.txt", "src/b.txt", "src/k2.txt",
        ]  # fmt: skip
        assert 'Revert "Adds a line"' in git(world.bare, "log", "-1", "--format=%B%n", "main")
        assert await node.rows("SELECT reverts FROM commits WHERE key = 'rollback:k1'") == [("k1",)]
        back = await rollback(node.committer, node.group, revert("rollback:k1"))
        assert isinstance(back, Committed)
        assert git(world.bare, "show", "main:src/k1.txt") == "k1"


async def test_what_was_changed_since_cannot_be_taken_back_without_a_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        one = await node.commit(world.commission(patch=world.patch({"src/b.txt": "one\n"})))
        git(world.project, "fetch", "-q", str(world.bare), "main")
        git(world.project, "reset", "-q", "--hard", one.commit)
        world.base = one.commit
        await node.commit(world.commission("k2", patch=world.patch({"src/b.txt": "two\n"})))
        assert node.committer is not None
        outcome = await rollback(node.committer, node.group, revert())
        assert isinstance(outcome, Conflict)
        assert outcome.code == "conflict"
        missing = await rollback(node.committer, node.group, revert("nothing"))
        assert isinstance(missing, Refused)
        assert missing.code == "not_committed"


# Pushes.


async def test_a_push_is_a_step_of_its_own_and_brings_what_is_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with world.committer() as node:
        await node.commit(world.commission("k1"))
        await node.commit(world.commission("k2", push=remote))
        assert await pushes(node) == [("k2", "due", 0, "")]
        [row] = await push(node.repository, node.group, node.seams.time)
        assert (row.state, row.tries) == ("pushed", 1)
        assert await push(node.repository, node.group, node.seams.time) == []
        assert git(remote, "rev-parse", "main") == world.tip()
        assert world.keys_in(Path(remote)) == ["k2", "k1"]
        there = git(remote, "for-each-ref", "--format=%(refname)", "refs/netsky/").split()
        assert there == sorted(name for name in world.refs() if "/done/" in name)


async def test_a_push_is_never_forced(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    (world.project / "other.txt").write_text("meanwhile\n")
    git(world.project, "commit", "-qam", "meanwhile")
    git(world.project, "push", "-q", remote, "main")
    theirs = git(remote, "rev-parse", "main")
    git(world.project, "reset", "-q", "--hard", world.base)
    async with world.committer() as node:
        await node.commit(world.commission(push=remote))
        [row] = await push(node.repository, node.group, node.seams.time)
        assert row.state == "refused"
        assert "refs/heads/main" in row.said
        assert git(remote, "rev-parse", "main") == theirs
        assert git(remote, "for-each-ref", "refs/netsky/") == "", "all of it or nothing"
        assert not await follow(node.repository, remote, "main")


async def test_a_push_that_finds_nobody_is_tried_again_and_then_left_to_a_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission(push=str(tmp_path / "nobody.git")))
        for _ in range(5):
            [row] = await push(node.repository, node.group, node.seams.time)
        assert (row.state, row.tries) == ("refused", 5)
        assert "nobody.git" in row.said
        assert world.keys_in(world.bare) == ["k1"]


async def test_a_branch_follows_what_people_push_there(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with world.committer() as node:
        await node.commit(world.commission(push=remote))
        await push(node.repository, node.group, node.seams.time)
        git(world.project, "pull", "-q", remote, "main")
        (world.project / "other.txt").write_text("by a person\n")
        git(world.project, "commit", "-qam", "by a person")
        git(world.project, "push", "-q", remote, "main")
        git(world.project, "reset", "-q", "--hard", world.base)
        assert await follow(node.repository, remote, "main")
        await node.commit(world.commission("k2", push=remote))
        [row] = await push(node.repository, node.group, node.seams.time)
        assert row.state == "pushed"
        assert git(remote, "log", "--format=%s", "main").splitlines() == [
            "Adds a line", "by a person", "Adds a line", "first",
        ]  # fmt: skip


# Another machine.


async def test_a_committer_on_another_machine_knows_what_is_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    async with world.committer() as node:
        first = await node.commit(world.commission("k1", push=remote))
        await push(node.repository, node.group, node.seams.time)
    shutil.rmtree(world.node)
    world.node.mkdir()
    async with world.committer(pushed_to=remote) as node:
        assert await follow(node.repository, remote, "main")
        assert await node.rows("SELECT key, state, made, ticket, fence FROM commits") == [
            ("k1", "committed", first.commit, "r1.k1", "1.1.1")
        ]
        assert await node.commit(world.commission("k1", push=remote)) == Committed(first.commit, again=True)
        assert isinstance(await node.commit(world.commission("k2", push=remote)), Committed)
        assert {row.state for row in await push(node.repository, node.group, node.seams.time)} == {"pushed"}
    assert world.keys_in(Path(remote)) == ["k2", "k1"]


async def test_a_committer_that_cannot_learn_what_is_done_does_not_begin(tmp_path: Path) -> None:
    world = World(tmp_path)
    remote = a_remote(world)
    os.rename(remote, f"{remote}.away")
    async with world.life() as node:
        with pytest.raises(GitError) as unknown:
            await node.begin(pushed_to=remote)
        assert unknown.value.code == "done_refs_missing"
        assert not node.repository.adopted(remote)
        os.rename(f"{remote}.away", remote)
        await node.begin(pushed_to=remote)
        assert isinstance(await node.commit(world.commission()), Committed)
        node.repository.let_go()
    os.rename(remote, f"{remote}.away")
    async with world.committer(pushed_to=remote, fetch=False) as node:
        assert (await node.commit(world.commission())).again, "what was learned once is known"


async def test_two_committers_never_hold_one_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsky.node.work.repo.repository.LOCK_SECONDS", 0.1)
    world = World(tmp_path)
    async with world.committer():
        other = World.__new__(World)
        other.__dict__ |= world.__dict__
        other.node = tmp_path / "other"
        (other.node / "repos").mkdir(parents=True)
        (other.node / "repos" / "r.git").symlink_to(world.bare)
        async with other.life() as second:
            second.repository.path = str(world.bare)
            with pytest.raises(GitError) as taken:
                await second.begin(fetch=False)
            assert taken.value.code == "repository_in_use"


async def test_a_lost_commit_is_said_and_not_made_again(tmp_path: Path) -> None:
    """The row says so and the repository does not know: a person looks."""
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission())
        for name, commit in world.refs().items():
            if "base" not in name:
                git(world.bare, "update-ref", "-d", name, commit)
        outcome = await node.commit(world.commission())
        assert isinstance(outcome, Refused)
        assert outcome.code == "commit_lost"
        [[row]] = await node.group.read([commits.find("r", "k1")])
        assert row
