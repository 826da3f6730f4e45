"""Workspaces with real git: fresh, cached by content, and a patch out of whatever a worker left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from netsky.node.errors import TryLater
from netsky.node.work.repo.commission import Committed
from netsky.node.work.repo.gate import check_patch
from netsky.node.work.repo.git import GitError
from netsky.node.work.repo.patch import PatchFault
from netsky.node.work.repo.sources import Source, ensure_base, make_bundle, tip_of
from netsky.node.work.repo.workspace import Workspace, Workspaces

from tests.node.work.repo.test_git import trap
from tests.node.work.repo.world import Node, World, git


def workspaces(node: Node, floor: int = 0) -> Workspaces:
    return Workspaces(str(node.world.node / "workspaces"), node.group, node.seams, lambda: floor)


async def made(node: Node, task: str = "r1.t") -> tuple[Workspaces, Workspace, Path]:
    all_of_them = workspaces(node)
    workspace = await all_of_them.make(task, node.repository, node.world.base)
    return all_of_them, workspace, Path(workspace.path)


async def test_a_workspace_is_a_clone_at_its_base_and_the_way_back_is_a_commit(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        spaces, workspace, path = await made(node)
        assert git(path, "status", "--porcelain") == ""
        assert git(path, "rev-parse", "HEAD") == world.base
        assert git(path, "log", "--format=%s") == "first"
        assert await spaces.harvest(workspace, node.repository) == b""
        (path / "src" / "new").mkdir()
        (path / "src" / "new" / "x.txt").write_text("x\n")
        (path / "src" / "b.txt").unlink()
        git(path, "commit", "-qam", "a commit of the worker's own is no harm")
        patch = await spaces.harvest(workspace, node.repository)
        assert isinstance(await node.commit(world.commission(patch=patch)), Committed)
        assert git(world.bare, "ls-tree", "-r", "--name-only", "main").split() == [
            "other.txt", "src/a.txt", "src/new/x.txt",
        ]  # fmt: skip


async def test_a_try_after_another_finds_nothing_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        spaces, _, path = await made(node)
        (path / "left").mkdir()
        (path / "left" / "behind").write_text("x")
        (path / "left").chmod(0)
        (path / ".git" / "hooks").mkdir(exist_ok=True)
        (path / "out").symlink_to("/")
        again = await spaces.make("r1.t", node.repository, world.base)
        assert again.path == str(path)
        assert sorted(os.listdir(path)) == [".git", "other.txt", "src"]
        assert not (path / ".git" / "hooks").exists()
        assert os.listdir(path.parent.parent) == ["r1.t"]
        await spaces.remove("r1.t")
        assert os.listdir(path.parent.parent) == []
        assert await node.rows("SELECT task FROM workspaces") == []


async def test_what_a_worker_left_in_its_own_git_decides_nothing(tmp_path: Path) -> None:
    world, (program, mark) = World(tmp_path), trap(tmp_path)
    async with world.committer() as node:
        spaces, workspace, path = await made(node)
        for name, value in {"core.fsmonitor": program, "filter.t.clean": program, "core.hooksPath": tmp_path}.items():
            git(path, "config", name, str(value))
        (path / ".gitattributes").write_text("* filter=t text=auto eol=crlf\n")
        (path / "src" / "crlf.txt").write_bytes(b"a\r\n")
        git(path, "update-index", "--assume-unchanged", "src/b.txt")
        (path / "src" / "b.txt").write_text("changed\n")
        (path / ".git" / "info" / "exclude").write_text("*\n")
        (path / ".git" / "objects" / "info" / "alternates").write_text("/nonexistent\n")
        mark.unlink(missing_ok=True)
        patch = await spaces.harvest(workspace, node.repository)
        assert not mark.exists()
        assert {one.path for one in check_patch(patch, ("./", ".gitattributes"))} == {
            b".gitattributes", b"src/crlf.txt", b"src/b.txt",
        }  # fmt: skip
        assert b"+a\r\n" in patch


async def test_a_repository_inside_a_workspace_is_refused_and_not_asked(tmp_path: Path) -> None:
    """A submodule of the base, filled with a repository that wants a program run, and one that is new."""
    world, (program, mark) = World(tmp_path), trap(tmp_path)
    git(world.project, "update-index", "--add", "--cacheinfo", f"160000,{world.base},src/sub")
    git(world.project, "commit", "-qm", "with a submodule")
    world.base = git(world.project, "rev-parse", "HEAD")
    async with world.committer() as node:
        spaces, workspace, path = await made(node)
        for name in ("sub", "new"):
            inner = path / "src" / name
            inner.mkdir(exist_ok=True)
            git(inner, "init", "-q")
            git(inner, "fetch", "-q", str(world.project), "HEAD")
            git(inner, "reset", "-q", "--hard", "FETCH_HEAD~1")
            git(inner, "config", "core.fsmonitor", str(program))
            (inner / "other.txt").write_text("changed\n")
        mark.unlink(missing_ok=True)
        patch = await spaces.harvest(workspace, node.repository)
        assert not mark.exists(), mark.read_text()
        with pytest.raises(PatchFault) as refused:
            check_patch(patch, ("src/",))
        assert refused.value.code == "submodule"


async def test_what_cannot_be_taken_from_a_workspace_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        spaces, workspace, path = await made(node)
        monkeypatch.setattr("netsky.node.work.repo.workspace.PATCH_BYTES_MAX", 10_000)
        (path / "src" / "big").write_text("".join(f"{n}\n" for n in range(10_000)))
        with pytest.raises(GitError) as large:
            await spaces.harvest(workspace, node.repository)
        assert large.value.code == "patch_too_large"
        shutil.rmtree(path)
        path.symlink_to("/etc")
        with pytest.raises(GitError) as gone:
            await spaces.harvest(workspace, node.repository)
        assert gone.value.code == "workspace_gone"


async def test_objects_of_a_workspace_are_not_put_into_the_repository(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        spaces, workspace, path = await made(node)
        before = sorted((world.bare / "objects").rglob("*"))
        (path / "src" / "x").write_text("a secret of this worker\n")
        await spaces.harvest(workspace, node.repository)
        assert sorted((world.bare / "objects").rglob("*")) == before


async def test_there_is_no_workspace_below_the_floor(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        with pytest.raises(TryLater) as low:
            await workspaces(node, 1 << 62).make("t", node.repository, world.base)
        assert low.value.code == "disk_low"


@pytest.mark.parametrize("task", ["../x", "", ".hidden", "a/b", "a b"])
async def test_a_task_that_is_no_folder_gets_none(tmp_path: Path, task: str) -> None:
    world = World(tmp_path)
    async with world.life() as node:
        with pytest.raises(GitError):
            await workspaces(node).make(task, node.repository, world.base)


async def test_a_base_comes_from_a_bundle_and_only_once(tmp_path: Path) -> None:
    world = World(tmp_path / "one")
    async with world.committer() as node:
        bundle = await make_bundle(node.repository, world.base, str(tmp_path / "bundles"))
        assert await make_bundle(node.repository, world.base, str(tmp_path / "bundles")) == bundle
    sibling = World(tmp_path / "two")
    sibling.base = world.base
    shutil.rmtree(sibling.bare)
    async with sibling.life() as node:
        await node.repository.create()
        await node.repository.hold()
        assert await ensure_base(node.repository, world.base, Source(bundle=bundle))
        assert not await ensure_base(node.repository, world.base, Source(bundle="/nonexistent"))
        _, _, path = await made(node)
        assert git(path, "rev-parse", "HEAD") == world.base
        node.repository.let_go()


async def test_a_base_that_is_nowhere_is_named_by_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        bundle = await make_bundle(node.repository, world.base, str(tmp_path / "bundles"))
        shutil.copy(bundle, tmp_path / "damaged")
        os.truncate(tmp_path / "damaged", (tmp_path / "damaged").stat().st_size - 30)
        (tmp_path / "garbage").write_text("# v2 git bundle\nnonsense")
        sources = [
            Source(), Source(url=str(world.project)), Source(bundle=bundle), Source(bundle=str(tmp_path / "damaged")),
            Source(bundle=str(tmp_path / "garbage")),
        ]  # fmt: skip
        for source in sources:
            with pytest.raises(GitError) as missing:
                await ensure_base(node.repository, "1" * 40, source)
            assert missing.value.code == "base_missing", (source, missing.value)
        with pytest.raises(GitError) as away:
            await ensure_base(node.repository, "1" * 40, Source(url=str(tmp_path / "nothing")))
        assert away.value.code == "fetch_failed"
        outcome = await node.commit(world.commission(base="1" * 40))
        assert outcome.code == "base_missing"


async def test_a_branch_of_a_remote_says_where_work_begins(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.committer() as node:
        assert await tip_of(node.repository, str(world.project), "main") == world.base
        with pytest.raises(GitError):
            await tip_of(node.repository, str(world.project), "nothing")
