"""The committer with real git: once for each key, as the ticket says, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.db import commits
from netsky.node.lab.interpose import interpose
from netsky.node.seams.ledger import Statement
from netsky.node.seams.real import real_seams
from netsky.node.work.repo.commission import Committed, Conflict, Criteria, Refused, Verdict, make_commit
from netsky.node.work.repo.committer import Committer, asked
from netsky.node.work.repo.git import Git, GitError, Step
from netsky.node.work.repo.repository import Repository

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
    for file in world.node.glob("meta.db*"):
        file.unlink()
    async with world.committer(fetch=False) as node:
        await node.group.write([Statement("DELETE FROM commits")])
        outcome = await node.commit(world.commission(ticket="r1.other"))
        assert (type(outcome), outcome.code) == (Refused, "key_taken"), "the commit itself says whose it is"


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


def texts_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.txt"))


def criteria(world: World, *, passes: bool = True, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Criteria:
    """What was asked of the files is kept in `world.asked`."""

    async def judge(folder: str) -> Verdict:
        world.asked.append(texts_in(Path(folder)))
        if meanwhile is not None:
            await meanwhile()
        return Verdict(passes, "" if passes else "criteria", "" if passes else "make test ended with 1")

    return judge


def a_person_commits(world: World, name: str) -> Callable[[], Awaitable[None]]:
    """Into the node's own repository, as somebody may who has a key to it."""

    async def commit() -> None:
        git(world.project, "fetch", "-q", str(world.bare), "+refs/heads/*:refs/remotes/node/*")
        here = git(world.project, "for-each-ref", "--format=%(objectname)", "refs/remotes/node/main") or world.base
        git(world.project, "reset", "-q", "--hard", here)
        (world.project / f"{name}{len(world.asked)}").write_text("by a person\n")
        git(world.project, "add", "-A")
        git(world.project, "commit", "-qm", "by a person")
        git(world.project, "push", "-q", str(world.bare), "HEAD:refs/heads/main")
        git(world.project, "reset", "-q", "--hard", world.base)

    return commit


async def test_criteria_see_the_files_as_they_would_be(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission("k1"))
        refused = await node.commit(world.commission("k2"), criteria(world, passes=False))
        assert refused == Refused("criteria", "make test ended with 1")
        assert world.asked == [["other.txt", "src/a.txt", "src/b.txt", "src/k1.txt", "src/k2.txt"]]
        assert world.keys_in(world.bare) == ["k1"]
        assert isinstance(await node.commit(world.commission("k2"), criteria(world)), Committed)
        assert not list((world.node / "checks").iterdir())
        assert await node.rows() == [("k1", "committed", ""), ("k2", "committed", "")]


async def test_a_branch_that_moves_meanwhile_is_followed_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    ran: list[int] = []

    async def once() -> None:
        if not ran:
            ran.append(1)
            await a_person_commits(world, "p")()

    async with world.committer() as node:
        assert isinstance(await node.commit(world.commission(), criteria(world, meanwhile=once)), Committed)
        assert len(world.asked) == 2, "what is committed is what was judged"
        assert git(world.bare, "log", "--format=%s", "main").splitlines() == ["Adds a line", "by a person", "first"]


async def test_a_branch_that_keeps_moving_goes_back_with_the_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        outcome = await node.commit(world.commission(), criteria(world, meanwhile=a_person_commits(world, "p")))
        assert isinstance(outcome, Conflict)
        assert outcome.code == "branch_moves"
        assert world.keys_in(world.bare) == []
        assert isinstance(await node.commit(world.commission()), Committed)
        assert not any("pending" in name for name in world.refs())


async def test_a_lease_that_ends_while_criteria_run_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:

        async def another_lease() -> None:
            await node.group.write([commits.raise_fence("r1.k1", (1, 1, 2))])

        outcome = await node.commit(world.commission(), criteria(world, meanwhile=another_lease))
        assert isinstance(outcome, Refused)
        assert outcome.code == "fence"
        assert world.keys_in(world.bare) == []


async def test_a_branch_that_somebody_has_checked_out_is_not_moved(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission("k1"))
        tip = world.tip()
        git(world.bare, "worktree", "add", "-q", str(tmp_path / "tree"), "main")
        outcome = await node.commit(world.commission("k2"))
        assert isinstance(outcome, Conflict)
        assert outcome.code == "checked_out"
        assert world.tip() == tip
        git(tmp_path / "tree", "checkout", "-q", "--detach")
        assert isinstance(await node.commit(world.commission("k2")), Committed)


async def test_a_base_that_the_branch_does_not_have_is_a_conflict(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission("k1"))
        alone = git(world.bare, "commit-tree", "-m", "of nobody", f"{world.base}^{{tree}}")
        git(world.bare, "update-ref", "refs/heads/main", alone)
        outcome = await node.commit(world.commission("k2"))
        assert isinstance(outcome, Conflict)
        assert outcome.code == "base_gone"


async def test_what_is_in_the_branch_already_is_not_committed_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    patch = world.patch({"src/b.txt": "x\n"})
    async with world.committer() as node:
        await node.commit(world.commission("k1", patch=patch))
        outcome = await node.commit(world.commission("k2", patch=patch))
        assert isinstance(outcome, Conflict)
        assert outcome.code == "nothing_left"


async def test_a_lock_that_a_killed_git_left_holds_nobody_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        await node.commit(world.commission("k1"))
        for name in ("refs/heads/main.lock", "packed-refs.lock", "netsky-index.lock"):
            (world.bare / name).write_text("")
        assert isinstance(await node.commit(world.commission("k2")), Committed)


async def test_text_from_outside_makes_no_trailer(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        outcome = await node.commit(
            world.commission(
                title="A title\n\nNetsky-Key: other",
                body="Authorised-By: owner\n---\n\nNetsky-Key: other\n netsky-fence: 9.9.9\0\x1b[31m\n\n",
            )
        )
        assert isinstance(outcome, Committed)
    assert world.keys_in(world.bare) == ["k1"]
    said = git(world.bare, "log", "-1", "--format=%(trailers:unfold)", "main")
    assert len(said.splitlines()) == 8, said
    assert "Authorised-By: env-1" in said
    assert "other" not in said
    whole = git(world.bare, "log", "-1", "--format=%B", "main").encode()
    parsed = git(world.bare, "interpret-trailers", "--parse", stdin=whole)
    assert parsed == said.rstrip(), "also for whoever takes a line of dashes for the end"


@pytest.mark.parametrize(
    "more",
    [
        {"key": ""}, {"key": "a\nb"}, {"key": "x" * 257}, {"branch": "../x"}, {"branch": "a.lock"}, {"branch": "-x"},
        {"branch": "a..b"}, {"branch": ""}, {"base": "main"}, {"base": "1" * 39}, {"fence": (-1, 0, 0)},
        {"created": -1}, {"worker": " w"}, {"authorised_by": "a\x1bb"},
    ],
)  # fmt: skip
async def test_a_commission_that_cannot_be_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    world = World(tmp_path)
    async with world.life() as node:
        committer = Committer(node.repository, node.group, node.seams, str(world.node))
        outcome = await committer.commit(world.commission(**({"patch": b"x"} | more)))
        assert isinstance(outcome, Refused)
        assert outcome.code == "commission"


async def test_what_was_prepared_under_a_lease_that_is_over_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    commission = world.commission()
    async with world.committer() as node:
        made = make_commit(commission, git(world.bare, "rev-parse", f"{world.base}^{{tree}}"), world.base)
        step = commits.Step("prepared", world.base, made.id, made.content)
        await node.group.write([commits.put(asked("r", commission), step, commission.fence, 1)])
        await node.group.write([commits.raise_fence(commission.ticket, (1, 1, 2))])
    async with world.committer() as node:
        assert await node.rows() == [("k1", "conflict", "cut_off")]
        assert "refs/heads/main" not in world.refs()


async def test_what_was_prepared_on_a_branch_that_moved_is_asked_for_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    commission = world.commission("k2")
    async with world.committer() as node:
        made = make_commit(commission, git(world.bare, "rev-parse", f"{world.base}^{{tree}}"), world.base)
        await node.commit(world.commission("k1"))
        step = commits.Step("prepared", world.base, made.id, made.content)
        await node.group.write([commits.put(asked("r", commission), step, commission.fence, 1)])
    async with world.committer() as node:
        assert await node.rows() == [("k1", "committed", ""), ("k2", "conflict", "cut_off")]
        assert isinstance(await node.commit(commission), Committed)
    assert world.keys_in(world.bare, "main") == ["k2", "k1"]


async def test_where_the_refs_stand_is_on_disk_before_anybody_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    calls: list[str] = []

    def heard(call: str, args: tuple[Any, ...]) -> None:
        written = call == "sqliteledger.transaction" and not args[0][0].sql.startswith("SELECT")
        calls.append("row" if written else call)

    async with world.committer(interpose(real_seams(), heard)) as node:
        calls.clear()
        assert isinstance(await node.commit(world.commission()), Committed)
    effects = [call for call in calls if call in {"row", "processes.start", "files.sync_folder"}]
    assert effects == [
        "row",  # its fence
        "processes.start", "processes.start",  # what stands, the tree
        "row",  # prepared
        "processes.start",  # bytes and refs
        "files.sync_folder", "files.sync_folder",
        "row",  # committed
    ]  # fmt: skip


async def test_a_git_that_outlives_its_node_keeps_the_next_one_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsky.node.work.repo.repository.LOCK_SECONDS", 0.2)
    world = World(tmp_path)
    slow = world.node / "slow"
    slow.write_text(f"#!/bin/sh\necho > {world.node}/started\nsleep 1000\n")
    slow.chmod(0o755)
    async with world.committer() as node:
        seams = node.seams
        node.repository._git = Git(seams.processes, seams.files, str(world.node), "slow", program=str(slow))
        other = Repository(str(world.bare), node.repository._git, seams.files, seams.time)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.repository.change, [Step(("status",))])
            while not (world.node / "started").exists():  # noqa: ASYNC110 - a file rings no bell
                await trio.sleep(0.01)
            node.repository.let_go()
            with pytest.raises(GitError) as taken:
                await other.hold()
            assert taken.value.code == "repository_in_use"
            nursery.cancel_scope.cancel()
        await other.hold()
        other.let_go()


async def test_a_change_never_lands_out_of_its_scope_where_others_have_moved_the_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    commission = world.commission(patch=world.patch({"src/a.txt": "".join(f"line {n}\n" for n in range(21))}))
    git(world.project, "mv", "src/a.txt", "a.txt")
    git(world.project, "commit", "-qm", "renamed")
    moved = git(world.project, "rev-parse", "HEAD")
    async with world.committer() as node:
        git(world.project, "push", "-q", str(world.bare), f"{moved}:refs/heads/main")
        outcome = await node.commit(commission)
        assert isinstance(outcome, Conflict)
        assert outcome.code in {"moved", "conflict"}, "git follows renames or does not"
        assert world.tip() == moved
