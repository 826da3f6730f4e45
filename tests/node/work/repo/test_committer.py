"""The committer with real git: once for each key, as the ticket says, and nothing else."""

from __future__ import annotations

from pathlib import Path

from netsky.node.work.repo.commission import Committed, Conflict, Refused

from tests.node.work.repo.world import World, git


async def test_a_patch_becomes_one_commit_with_what_its_ticket_says(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        outcome = await node.commit(world.commission())
        assert isinstance(outcome, Committed), outcome
        assert outcome == Committed(world.tip())
        said = git(world.bare, "cat-file", "commit", outcome.commit)
        assert f"parent {world.base}\nauthor worker1 <worker1@netsky1> 1790000000 +0000\n" in said
        assert said.endswith(
            "\n\nAdds a line\n\nAs was asked.\n\nNetsky-Task: r1.k1\nNetsky-Run: r1\nNetsky-Worker: worker1@netsky1\n"
            f"Netsky-Node: netsky1\nNetsky-Key: k1\nNetsky-Fence: 1.1.1\nNetsky-Patch: {world.commission().patch_id}\n"
            "Authorised-By: env-1"
        )
        assert git(world.bare, "show", "main:src/k1.txt") == "k1"
        assert await node.rows() == [("k1", "committed", "")]
        git(world.bare, "fsck", "--strict", "--no-dangling")


async def test_the_same_key_again_gives_the_same_commit_and_no_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    commission = world.commission()
    async with world.committer() as node:
        first = await node.commit(commission)
        assert await node.commit(commission) == Committed(first.commit, again=True)
        assert await node.commit(world.commission(patch=world.patch({"src/b.txt": "x\n"}))) == Committed(
            first.commit, again=True
        )
    assert world.keys_in(world.bare) == ["k1"]


async def test_a_key_belongs_to_one_ticket(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission())
        outcome = await node.commit(world.commission(ticket="r1.other"))
        assert isinstance(outcome, Refused)
        assert outcome.code == "key_taken"


async def test_tickets_with_one_base_follow_each_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        for key in ("k1", "k2", "k3"):
            assert isinstance(await node.commit(world.commission(key)), Committed)
    assert world.keys_in(world.bare, "main") == ["k3", "k2", "k1"]
    assert git(world.bare, "ls-tree", "-r", "--name-only", "main").split() == [
        "other.txt", "src/a.txt", "src/b.txt", "src/k1.txt", "src/k2.txt", "src/k3.txt",
    ]  # fmt: skip


async def test_what_others_changed_meanwhile_goes_back_with_the_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = world.commission("k1", patch=world.patch({"src/b.txt": "one\n"}))
    two = world.commission("k2", patch=world.patch({"src/b.txt": "two\n"}))
    async with world.committer() as node:
        await node.commit(one)
        tip = world.tip()
        outcome = await node.commit(two)
        assert isinstance(outcome, Conflict)
        assert outcome.code == "conflict"
        assert "src/b.txt" in outcome.sentence
        assert world.tip() == tip
        assert await node.rows() == [("k1", "committed", ""), ("k2", "conflict", "conflict")]


async def test_a_lower_fence_than_one_that_was_seen_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        refused = await node.commit(world.commission(fence=(2, 1, 7), scope=("nowhere/",)))
        assert refused.code == "out_of_scope"
        for lower in ((2, 1, 6), (1, 9, 9), (2, 0, 9)):
            outcome = await node.commit(world.commission(fence=lower))
            assert isinstance(outcome, Refused)
            assert outcome.code == "fence"
        assert "refs/heads/main" not in world.refs()
        assert isinstance(await node.commit(world.commission(fence=(2, 1, 8))), Committed)
